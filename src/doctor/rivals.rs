//! What else on this machine seals: other programs, and sealbox itself with other data.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Check;
use crate::config::Config;
use crate::store::LOCK_FILE;

/// Programs that seal as well, and would fight over memory, GPU and disks.
const OTHERS: [&str; 6] = [
    "lotus-miner",
    "lotus-worker",
    "curio",
    "damocles-worker",
    "venus-worker",
    "force-remote-worker",
];
const OURS: &str = "sealbox";

pub fn check(config: &Config) -> Check {
    let of = "other sealers";
    let found = found(Path::new("/proc"), &config.data_dir);
    if found.is_empty() {
        return Check::ok(of, "none runs here");
    }
    let pids: Vec<&str> = found.iter().map(|(pid, _)| pid.as_str()).collect();
    let mend = format!(
        "stop what is not wanted (`kill {}`); what stays needs its part of the machine (`cores` and \
         `memory_mib` in [machine]), and disks of its own",
        pids.join(" ")
    );
    let words: Vec<&str> = found.iter().map(|(_, words)| words.as_str()).collect();
    Check::warning(of, format!("{}: they take memory and disks here too", words.join(", ")), mend)
}

/// By their ids, with what they are.
fn found(proc: &Path, data_dir: &Path) -> Vec<(String, String)> {
    let mine = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_path_buf());
    let mut found = Vec::new();
    for entry in fs::read_dir(proc).into_iter().flatten().flatten() {
        let Ok(name) = fs::read_to_string(entry.path().join("comm")) else { continue };
        let (name, pid) = (name.trim(), entry.file_name().to_string_lossy().into_owned());
        // The kernel keeps 15 bytes of a name.
        if OTHERS.iter().any(|other| name == &other[..other.len().min(15)]) {
            found.push((pid.clone(), format!("{name} ({pid})")));
        } else if name == OURS {
            found.extend(
                other_box(&entry.path(), &mine)
                    .map(|words| (pid.clone(), format!("another sealbox ({pid}), {words}"))),
            );
        }
    }
    found.sort();
    found
}

/// Whose data another box has. None for this box, and for what is no box: a command, an attempt.
fn other_box(process: &Path, mine: &Path) -> Option<String> {
    match locked(process) {
        Ok(locked) => {
            let other = locked.into_iter().find(|data| data != mine)?;
            Some(format!("with its data in {}", other.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Some("which another user has started, so that its data cannot be seen".to_owned())
        }
        // It has ended meanwhile.
        Err(_) => None,
    }
}

/// The data directories whose lock this process has open.
fn locked(process: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let files = fs::read_dir(process.join("fd"))?.flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    let locks = targets.filter(|target| target.file_name().is_some_and(|name| name == LOCK_FILE));
    Ok(locks.filter_map(|lock| lock.parent().map(Path::to_path_buf)).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A process that has these files open.
    fn process(proc: &Path, pid: u32, name: &str, open: &[&Path]) {
        let fd = proc.join(pid.to_string()).join("fd");
        fs::create_dir_all(&fd).unwrap();
        fs::write(proc.join(pid.to_string()).join("comm"), format!("{name}\n")).unwrap();
        for (number, path) in open.iter().enumerate() {
            symlink(path, fd.join(number.to_string())).unwrap();
        }
    }

    #[test]
    fn another_box_is_named_by_its_data_and_neither_this_one_nor_a_command_is() {
        let dir = tempfile::tempdir().unwrap();
        let (proc, mine) = (dir.path().join("proc"), dir.path().join("mine"));
        fs::create_dir(&mine).unwrap();
        let mine = mine.canonicalize().unwrap();
        let other = dir.path().join("other");
        process(&proc, 7, "sealbox", &[&mine.join(LOCK_FILE), Path::new("/dev/null")]);
        process(&proc, 8, "sealbox", &[Path::new("/dev/null"), &other.join(LOCK_FILE)]);
        process(&proc, 9, "sealbox", &[&other.join("journal/1.jsonl")]);
        process(&proc, 10, "force-remote-wo", &[]);
        process(&proc, 11, "bash", &[&other.join(LOCK_FILE)]);
        let found = found(&proc, &mine);
        let expected = [
            ("10".to_owned(), "force-remote-wo (10)".to_owned()),
            ("8".to_owned(), format!("another sealbox (8), with its data in {}", other.display())),
        ];
        assert_eq!(found, expected);
    }
}
