//! Whether sealbox can work in a directory; if not, whose it is and the command that mends it.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::failure::{Class, Failure};
use crate::durable::{sync_dir, write_atomic};

/// Makes sure that sealbox can work in this directory: makes it if it is not there, then creates,
/// renames and removes a file in it. For the start only: a directory that goes away while the box
/// runs is a missing mount, and is not made again.
///
/// # Errors
/// Operator, naming owner, mode and the command that mends it.
pub fn ensure_dir_writable(path: &Path) -> Result<(), Failure> {
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => {
            let what = "this has to be a directory, and it is a file";
            let mend = "move the file away, or configure another path";
            return Err(Failure::new(Class::Operator, what, mend).at(path));
        }
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => make_dir(path)?,
        Err(error) => return Err(refused("look at", path, &error)),
    }
    try_writing(path)
}

/// Creates, renames and removes a file in this directory.
///
/// # Errors
/// As [`ensure_dir_writable`].
pub fn try_writing(path: &Path) -> Result<(), Failure> {
    probe(path).map_err(|error| refused("write to", path, &error))
}

fn make_dir(path: &Path) -> Result<(), Failure> {
    fs::create_dir_all(path).map_err(|error| refused("make", path, &error))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    sync_dir(parent).map_err(|error| Failure::io("syncing a new directory", parent, &error))
}

const PROBE: &str = ".sealbox-probe-";
/// A box that tries this long is a box that was killed while it tried.
const PROBE_LIMIT: Duration = Duration::from_secs(60);

/// Everything that work will do here, once.
fn probe(dir: &Path) -> io::Result<()> {
    remove_old_probes(dir);
    let written = dir.join(format!("{PROBE}{}", std::process::id()));
    let renamed = dir.join(format!("{PROBE}{}-renamed", std::process::id()));
    let tried = write_atomic(&written, b"sealbox tried whether it can write here\n")
        .and_then(|()| fs::rename(&written, &renamed));
    let removed = match &tried {
        Ok(()) => fs::remove_file(&renamed),
        Err(_) => fs::remove_file(&written),
    };
    tried.and(removed)
}

/// What earlier starts left that were cut short. Another box that shares the directory may be trying
/// it at this moment: its files are left alone.
fn remove_old_probes(dir: &Path) {
    // A directory that cannot be listed can still be worked in.
    for item in fs::read_dir(dir).into_iter().flatten().flatten() {
        // The name while it is being written has one more dot before it.
        let name = item.file_name().to_string_lossy().into_owned();
        let is_probe = name.starts_with(PROBE) || name.starts_with(&format!(".{PROBE}"));
        let written = item.metadata().and_then(|found| found.modified());
        if is_probe && written.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > PROBE_LIMIT)) {
            // Gone meanwhile is as good.
            let _ = fs::remove_file(item.path());
        }
    }
}

/// Who may do what here, and how to change it.
struct Access {
    /// The nearest directory that there is: the one that refuses.
    dir: PathBuf,
    owner: u32,
    mode: u32,
    me: u32,
}

fn refused(doing: &str, path: &Path, error: &io::Error) -> Failure {
    let io_failure = || Failure::io(&format!("trying to {doing} the directory"), path, error);
    let mut failure = match (error.kind(), access(path)) {
        (ErrorKind::PermissionDenied, Some(access)) => {
            let names = fs::read_to_string("/etc/passwd").unwrap_or_default();
            permission_failure(doing, path, &access, &names)
        }
        (ErrorKind::NotADirectory | ErrorKind::AlreadyExists, _) => {
            let what = "a part of this path is a file, not a directory";
            let mend = "move that file away, or configure another path";
            Failure::new(Class::Operator, what, mend).at(path)
        }
        _ => io_failure(),
    };
    // This runs at the start, where nobody tries again by itself.
    failure.class = Class::Operator;
    failure.detail(error.to_string())
}

fn access(path: &Path) -> Option<Access> {
    let me = rustix::process::geteuid().as_raw();
    path.ancestors().find_map(|dir| {
        let found = fs::metadata(dir).ok()?;
        Some(Access { dir: dir.into(), owner: found.uid(), mode: found.mode() & 0o7777, me })
    })
}

fn permission_failure(doing: &str, path: &Path, access: &Access, passwd: &str) -> Failure {
    let (dir, mode) = (access.dir.display(), access.mode);
    let (owner, me) = (user(access.owner, passwd), user(access.me, passwd));
    let what = format!(
        "permission denied: sealbox runs as {me} and cannot {doing} the directory; {dir} belongs \
         to {owner}, mode {mode:o}"
    );
    let shown = path.display();
    let make =
        if access.dir == path { String::new() } else { format!("mkdir -p {shown} && sudo ") };
    let mend = format!("sudo {make}chown {me} {shown}");
    Failure::new(Class::Operator, what, mend).at(path)
}

/// The name that goes with a user id, or the id. `/etc/passwd` only: names from a directory
/// service would need the C library.
fn user(id: u32, passwd: &str) -> String {
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use rustix::thread::{Uid, set_thread_uid};

    use super::*;

    #[test]
    fn a_missing_directory_is_made_and_the_probe_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        ensure_dir_writable(&path).unwrap();
        ensure_dir_writable(&path).unwrap();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn what_a_start_that_was_cut_short_left_is_removed_by_a_later_one() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = ("..sealbox-probe-5.5-2.tmp", ".sealbox-probe-6");
        for name in [old, new, "a-sector"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let file = fs::File::options().write(true).open(dir.path().join(old)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        ensure_dir_writable(dir.path()).unwrap();
        let left = |name| dir.path().join(name).exists();
        assert_eq!([old, new, "a-sector"].map(left), [false, true, true]);
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        for path in [file.clone(), file.join("below")] {
            let failure = ensure_dir_writable(&path).unwrap_err();
            assert_eq!((failure.class, failure.file), (Class::Operator, Some(path)));
        }
    }

    /// Runs it as a user who owns nothing, where the test may become one.
    fn as_nobody<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
        let run = || {
            if rustix::process::geteuid().is_root() {
                set_thread_uid(Uid::from_raw(65_534)).unwrap();
            }
            run()
        };
        // The user is the thread's alone.
        std::thread::spawn(run).join().unwrap()
    }

    #[test]
    fn a_directory_of_another_user_is_refused_with_owner_mode_and_command() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
        let path = dir.path().to_path_buf();
        let tried = path.clone();
        let failure = as_nobody(move || ensure_dir_writable(&tried)).unwrap_err();
        assert_eq!(failure.class, Class::Operator);
        assert!(failure.what.contains("mode 555"), "{failure}");
        assert!(failure.mend.starts_with("sudo chown "), "{failure}");
        let below = path.join("new");
        let tried = below.clone();
        let failure = as_nobody(move || ensure_dir_writable(&tried)).unwrap_err();
        assert!(failure.mend.starts_with("sudo mkdir -p "), "{failure}");
        assert!(failure.what.contains(&format!("{} belongs to", path.display())), "{failure}");
    }

    #[test]
    fn users_are_named_where_they_have_a_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let access = Access { dir: "/sealer".into(), owner: 0, mode: 0o755, me: 1000 };
        let failure = permission_failure("write to", Path::new("/sealer"), &access, passwd);
        assert!(failure.what.contains("runs as ann"), "{failure}");
        assert!(failure.what.contains("/sealer belongs to root, mode 755"), "{failure}");
        assert_eq!(failure.mend, "sudo chown ann /sealer");
        assert_eq!(user(7, passwd), "7");
    }
}
