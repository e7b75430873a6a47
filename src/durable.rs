//! Making what was written survive a power cut.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::failpoint::die_at;

/// Waits until the file's content and length are on the disk.
pub fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Waits until the directory's entries are on the disk: what was created in it, renamed into or
/// out of it, removed from it. Not what lies inside the files.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// [`sync_file`] for every regular file under `dir`, and [`sync_dir`] for every directory, itself
/// last. Symbolic links are not followed.
pub fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_tree(&entry.path())?;
        } else if kind.is_file() {
            sync_file(&entry.path())?;
        }
    }
    sync_dir(dir)
}

/// Replaces the file by these bytes: after a crash at any moment it holds either all of the old
/// or all of the new, and the new once this has returned. Its directory must exist.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, Readers::Anyone)
}

/// As [`write_atomic`], for the eyes of the directory's owner alone: root may write it for the user
/// that runs the box.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, bytes, Readers::Owner)
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readers {
    /// As the process's umask has it.
    Anyone,
    /// Mode 0600, and whose the directory is.
    Owner,
}

fn write(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file");
    let name = path.file_name().ok_or_else(no_file)?;
    let parent = match path.parent().ok_or_else(no_file)? {
        here if here.as_os_str().is_empty() => Path::new("."),
        parent => parent,
    };
    drop_torn(parent, name);
    let temp = parent.join(temp_name(name));
    let written = write_and_rename(&temp, path, bytes, readers);
    if written.is_err() {
        // The error that is returned says more than one from here would.
        let _ = fs::remove_file(&temp);
    }
    written?;
    sync_dir(parent)
}

/// Two writers of the same file must not write into one temporary file.
fn temp_name(name: &OsStr) -> OsString {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let write = WRITES.fetch_add(1, Ordering::Relaxed);
    let mut temp = OsString::from(".");
    temp.push(name);
    temp.push(format!(".{}-{write}.tmp", std::process::id()));
    temp
}

/// Removes what a process that died in here left. A write that did not come to its end is made
/// again, so this is where to look.
fn drop_torn(parent: &Path, name: &OsStr) {
    // A directory that cannot be listed can still be written to.
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if is_of_another_process(&entry.file_name(), name) {
            // Gone meanwhile is as good.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether this is a [`temp_name`] of that file, given by another process than this one.
fn is_of_another_process(temp: &OsStr, name: &OsStr) -> bool {
    let parts = || {
        let rest = temp.to_str()?.strip_prefix('.')?.strip_prefix(name.to_str()?)?;
        let (pid, write) = rest.strip_prefix('.')?.strip_suffix(".tmp")?.split_once('-')?;
        Some((pid.parse::<u32>().ok()?, write.parse::<u64>().ok()?))
    };
    parts().is_some_and(|(pid, _)| pid != std::process::id())
}

fn write_and_rename(temp: &Path, path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let mut options = OpenOptions::new();
    // What lies there by this name is from an earlier process with our id: of no use to anyone.
    options.write(true).create(true).truncate(true);
    let mut file = match readers {
        Readers::Anyone => options.open(temp)?,
        Readers::Owner => {
            let file = options.mode(0o600).open(temp)?;
            keep_private(&file, path)?;
            file
        }
    };
    file.write_all(bytes)?;
    die_at("write.temp_written");
    file.sync_all()?;
    drop(file);
    die_at("write.temp_synced");
    fs::rename(temp, path)?;
    die_at("write.renamed");
    Ok(())
}

/// Before there is anything in it.
fn keep_private(file: &File, path: &Path) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    let owner = path.parent().and_then(|parent| parent.metadata().ok());
    match (owner, file.metadata()?.uid()) {
        // Root writes it for the user whose directory it is, who could not read it otherwise.
        (Some(owner), 0) if owner.uid() != 0 => fchown(file, Some(owner.uid()), Some(owner.gid())),
        (Some(_) | None, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_the_owner_s_alone_whatever_it_was_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.json");
        fs::write(&path, "open to all").unwrap();
        write_private(&path, b"secret").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"secret");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_written_file_replaces_the_old_one_and_leaves_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        write_atomic(&path, b"old").unwrap();
        write_atomic(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_takes_away_what_a_process_that_died_left_of_it_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let me = std::process::id();
        let torn = format!(".state.json.{}-3.tmp", me + 1);
        let others = [
            format!(".state.json.{me}-7777.tmp"),
            format!(".other.json.{}-3.tmp", me + 1),
            ".state.json.notes-1.tmp".to_owned(),
            ".state.json.tmp".to_owned(),
        ];
        for name in others.iter().chain([&torn]) {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        write_atomic(&dir.path().join("state.json"), b"new").unwrap();
        assert!(!dir.path().join(&torn).exists());
        assert!(others.iter().all(|name| dir.path().join(name).exists()));
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write_atomic(&path, b"new").is_err());
        assert!(path.is_dir());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_missing_directory_is_an_error_and_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone/state.json");
        assert_eq!(write_atomic(&path, b"x").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!dir.path().join("gone").exists());
    }

    #[test]
    fn a_tree_is_synced_without_following_links_out_of_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("a")).unwrap();
        fs::write(dir.path().join("a/b"), b"x").unwrap();
        std::os::unix::fs::symlink("/nowhere", dir.path().join("a/dangling")).unwrap();
        sync_tree(dir.path()).unwrap();
        assert!(sync_tree(&dir.path().join("none")).is_err());
    }
}
