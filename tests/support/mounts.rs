//! File systems of a test's own: one whose power can be cut, and a small one that fills up. They
//! need root.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What a test that makes file systems lacks here; none if it lacks nothing.
pub fn lacking(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it takes root".to_owned());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |name: &&&str| std::env::split_paths(&paths).any(|dir| dir.join(name).exists());
    let missing = programs.iter().find(|program| !is_there(program));
    missing.map(|program| format!("it takes `{program}`"))
}

fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output().map_err(|error| error.to_string())?;
    let said = super::text(&output.stderr);
    if output.status.success() {
        Ok(super::text(&output.stdout).trim().to_owned())
    } else {
        Err(format!("{program} {args:?}: {said}"))
    }
}

fn as_text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are plain text")
}

/// Busy for a moment after its last process ended.
fn unmount(mount: &Path) {
    let start = Instant::now();
    while let Err(error) = run("umount", &[as_text(mount)]) {
        assert!(start.elapsed() < Duration::from_secs(10), "{error}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A disk in a file, with a file system that can lose what was not synced.
pub struct Disk {
    kind: String,
    device: String,
    pub mount: PathBuf,
}

impl Disk {
    /// `kind` is `ext4` or `xfs`. `dir` takes the image and the mount point.
    ///
    /// # Errors
    /// Why this machine cannot do it.
    pub fn make(kind: &str, dir: &Path) -> Result<Self, String> {
        let image = dir.join("disk.img");
        let file = fs::File::create(&image).map_err(|error| error.to_string())?;
        file.set_len(2 << 30).map_err(|error| error.to_string())?;
        let mount = dir.join("disk");
        fs::create_dir(&mount).map_err(|error| error.to_string())?;
        let device = run("losetup", &["--find", "--show", as_text(&image)])?;
        let disk = Self { kind: kind.to_owned(), device, mount };
        run(&format!("mkfs.{kind}"), &["-q", &disk.device])?;
        disk.attach()?;
        Ok(disk)
    }

    fn attach(&self) -> Result<(), String> {
        run("mount", &["-t", &self.kind, &self.device, as_text(&self.mount)]).map(drop)
    }

    /// From here on nothing reaches the disk any more, not even the file system's own log: what
    /// was not synced is gone. This is `EXT4_IOC_SHUTDOWN`, which is XFS's `GOINGDOWN`, without
    /// a flush of the log.
    pub fn cut(mount: &Path) {
        const SHUT_DOWN: &str = r#"open(my $dir, "<", $ARGV[0]) or die "open: $!";
            my $without_flush = pack("I", 2);
            ioctl($dir, 0x8004587d, $without_flush) or die "ioctl: $!";"#;
        run("perl", &["-e", SHUT_DOWN, as_text(mount)]).expect("the cut");
    }

    /// After a cut, once nothing uses it any more: the file system as the next boot finds it.
    pub fn come_back(&self) {
        unmount(&self.mount);
        self.attach().expect("it mounts again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(run("umount", &[as_text(&self.mount)]));
        drop(run("losetup", &["--detach", &self.device]));
    }
}

/// A disk in memory, of any size, that can be filled to its last byte and emptied again.
pub struct SmallDisk {
    pub mount: PathBuf,
}

impl SmallDisk {
    pub fn make(mount: &Path, mib: u64) -> Result<Self, String> {
        fs::create_dir_all(mount).map_err(|error| error.to_string())?;
        let size = format!("size={mib}m");
        run("mount", &["-t", "tmpfs", "-o", &size, "none", as_text(mount)])?;
        Ok(Self { mount: mount.to_path_buf() })
    }

    fn ballast(&self) -> PathBuf {
        self.mount.join("ballast")
    }

    pub fn fill(&self) {
        let mut ballast = fs::File::create(self.ballast()).expect("a file");
        for length in [1 << 20, 4096, 1] {
            while ballast.write_all(&vec![0; length]).is_ok() {}
        }
    }

    pub fn free(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(run("umount", &["--lazy", as_text(&self.mount)]));
    }
}
