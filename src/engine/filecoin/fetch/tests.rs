//! Fetching from mirrors that are down, slow, cut short, or wrong.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::server::{Mischief, Served, Server};
use super::*;
use crate::domain::units::{SectorSize, Timestamp};

const LENGTH: usize = 700_000;
const PARAMS: &str = "v28-test-0a1b.params";

fn content() -> Vec<u8> {
    (0..LENGTH).map(|n| (n % 251) as u8).collect()
}

fn trusted(name: &str, content: &[u8]) -> TrustedFile {
    let digest = blake2b_simd::blake2b(content).to_hex()[..32].to_owned();
    TrustedFile { name: name.to_owned(), cid: format!("Qm-{name}"), digest }
}

fn source_of(servers: &[&Server], pauses: usize) -> Source {
    let mirrors = servers.iter().map(|server| server.mirror.clone()).collect();
    let patience = Patience {
        connect: Duration::from_secs(5),
        silence: Duration::from_secs(1),
        slowest: 50_000,
        pauses: vec![Duration::ZERO; pauses],
    };
    Source::new(mirrors, patience)
}

fn fetch_from(servers: &[&Server], dir: &Path) -> Result<Vec<Fetched>, Failure> {
    let wanted = [trusted(PARAMS, &content())];
    fetch(&wanted, dir, &source_of(servers, 0), &mut |_| ())
}

fn part(dir: &Path) -> PathBuf {
    dir.join(format!("{PARAMS}{}", download::PART))
}

/// The file is there and right, and nothing is left beside it but the lock.
#[track_caller]
fn assert_whole(dir: &Path) {
    assert!(fs::read(dir.join(PARAMS)).unwrap() == content(), "other bytes");
    let mut names = files::names_in(dir).unwrap();
    names.retain(|name| name != PARAMS);
    assert_eq!(names, ["v28-test-0a1b.sealbox.lock"]);
}

#[test]
fn files_come_from_the_first_mirror_and_are_not_fetched_twice() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&content(), &[Mischief::None]);
    let spare = Server::start(&content(), &[Mischief::None]);
    let wanted = [trusted("v28-test-0a1b.vk", &content()), trusted(PARAMS, &content())];
    let source = source_of(&[&server, &spare], 0);
    let mut last = None;
    let fetched = fetch(&wanted, &dir.path().join("new"), &source, &mut |step| {
        if let Step::Fetching { file, done, of } = step {
            last = Some((file, done, of));
        }
    });
    let length = ByteSize(LENGTH as u64);
    assert_eq!(last, Some((Nth { nth: 2, of: 2 }, length, length)));
    for (fetched, wanted) in fetched.unwrap().iter().zip(&wanted) {
        assert_eq!(fetched.file, dir.path().join("new").join(&wanted.name));
        assert_eq!((fetched.bytes, &fetched.from), (length, &Some(server.mirror.clone())));
        assert!(fs::read(&fetched.file).unwrap() == content());
    }
    assert_eq!(server.served(), [Served { from: None, bytes: LENGTH }; 2]);
    let again = fetch(&wanted, &dir.path().join("new"), &source, &mut |_| ()).unwrap();
    assert!(again.iter().all(|fetched| fetched.from.is_none() && fetched.bytes == length));
    assert_eq!(server.served().len(), 2);
    assert_eq!(spare.served(), []);
}

#[test]
fn an_answer_that_breaks_off_or_stalls_is_gone_on_with_where_it_ended() {
    for broken in [Mischief::Truncate(300_000), Mischief::Stall(300_000)] {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&content(), &[broken, Mischief::None]);
        fetch_from(&[&server], dir.path()).unwrap();
        assert_whole(dir.path());
        let parts = [
            Served { from: None, bytes: 300_000 },
            Served { from: Some(300_000), bytes: LENGTH - 300_000 },
        ];
        assert_eq!(server.served(), parts, "{broken:?}");
    }
}

#[test]
fn a_mirror_that_gives_nothing_or_nothing_right_is_followed_by_the_next() {
    let useless = [
        Mischief::Status(500),
        Mischief::Status(404),
        Mischief::Stall(0),
        Mischief::Drip,
        Mischief::Truncate(0),
        Mischief::Lie,
        Mischief::NoLength,
        Mischief::TooLong,
    ];
    for mischief in useless {
        let dir = tempfile::tempdir().unwrap();
        let bad = Server::start(&content(), &[mischief]);
        let good = Server::start(&content(), &[Mischief::None]);
        let fetched = fetch_from(&[&bad, &good], dir.path()).unwrap();
        assert_eq!(fetched[0].from, Some(good.mirror), "{mischief:?}");
        assert_eq!(bad.served().len(), 1, "{mischief:?}");
        assert_whole(dir.path());
    }
}

#[test]
fn a_server_without_ranges_still_finishes_what_another_began() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::start(&content(), &[Mischief::Truncate(500_000), Mischief::Status(500)]);
    // Its own answers break off twice before they come to anything new.
    let [short, all] = [400_000, LENGTH].map(Mischief::NoRange);
    let second = Server::start(&content(), &[short, short, all]);
    assert!(fetch_from(&[&first, &second], dir.path()).is_err());
    assert_eq!(fs::read(part(dir.path())).unwrap(), content()[..500_000]);
    fetch_from(&[&second], dir.path()).unwrap();
    assert_whole(dir.path());
}

#[test]
fn a_mirror_that_says_there_is_no_more_does_not_cost_what_is_here() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(part(dir.path()), &content()[..500_000]).unwrap();
    let server = Server::start(&content(), &[Mischief::Status(416)]);
    let failure = fetch_from(&[&server], dir.path()).unwrap_err();
    assert!(failure.detail.unwrap().ends_with("status 416"));
    assert_eq!(files::length(&part(dir.path())), Ok(Some(500_000)));
}

#[test]
fn a_fetch_that_was_broken_off_goes_on_and_asks_for_no_byte_twice() {
    let dir = tempfile::tempdir().unwrap();
    let down = Mischief::Status(503);
    let script = [Mischief::Truncate(450_000), down, down, Mischief::None];
    let server = Server::start(&content(), &script);
    assert!(fetch_from(&[&server], dir.path()).is_err());
    assert!(!dir.path().join(PARAMS).exists());
    assert_eq!(files::length(&part(dir.path())), Ok(Some(450_000)));
    fetch_from(&[&server], dir.path()).unwrap();
    assert_whole(dir.path());
    let bytes: usize = server.served().iter().map(|served| served.bytes).sum();
    assert_eq!(bytes, LENGTH);
}

#[test]
fn a_part_that_is_whole_is_checked_and_named_without_another_byte() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(part(dir.path()), content()).unwrap();
    let server = Server::start(&content(), &[Mischief::None]);
    fetch_from(&[&server], dir.path()).unwrap();
    assert_whole(dir.path());
    assert_eq!(server.served(), [Served { from: Some(LENGTH), bytes: 0 }]);
}

#[test]
fn a_part_that_is_wrong_or_too_long_is_fetched_anew_from_a_mirror_that_is_right() {
    for wrong in [vec![7; 100], vec![7; LENGTH + 1]] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(part(dir.path()), wrong).unwrap();
        let server = Server::start(&content(), &[Mischief::None]);
        fetch_from(&[&server], dir.path()).unwrap();
        assert_whole(dir.path());
        assert_eq!(server.served()[1], Served { from: None, bytes: LENGTH });
    }
}

#[test]
fn what_is_there_and_wrong_is_set_aside_and_keeps_its_bytes() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(PARAMS), "torn").unwrap();
    let server = Server::start(&content(), &[Mischief::None]);
    let aside = fetch_from(&[&server], dir.path()).unwrap().remove(0).set_aside.unwrap();
    assert_eq!(fs::read_to_string(&aside).unwrap(), "torn");
    fs::remove_file(aside).unwrap();
    assert_whole(dir.path());
}

#[test]
fn lab_made_parameters_of_the_same_name_are_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let lab = ParameterFiles::beside(dir.path().join(PARAMS));
    for file in [&lab.params, &lab.verifying_key, &lab.metadata] {
        fs::write(file, "lab").unwrap();
    }
    lab.mark(SectorSize::KiB2, Timestamp(1)).unwrap();
    let server = Server::start(&content(), &[Mischief::None]);
    let failure = fetch_from(&[&server], dir.path()).unwrap_err();
    assert!(failure.what.contains("made in this lab"), "{failure}");
    assert!(failure.mend.contains("v28-test-0a1b.*"), "{failure}");
    assert_eq!(fs::read_to_string(&lab.params).unwrap(), "lab");
    assert_eq!(server.served(), []);
}

#[test]
fn when_no_mirror_helps_each_is_named_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let [down, lies] = [Mischief::Status(502), Mischief::Lie];
    let servers = [down, lies].map(|mischief| Server::start(&content(), &[mischief]));
    let failure = fetch_from(&[&servers[0], &servers[1]], dir.path()).unwrap_err();
    assert_eq!(failure.what, "no mirror gives this file");
    assert_eq!(failure.file, Some(dir.path().join(PARAMS)));
    assert!(failure.mend.contains("IPFS_GATEWAY"), "{failure}");
    let detail = failure.detail.unwrap();
    let expected = format!(
        "{}: status 502\n{}: what it gave does not have the right digest",
        servers[0].mirror, servers[1].mirror
    );
    assert_eq!(detail, expected);
    assert!(!dir.path().join(PARAMS).exists() && !part(dir.path()).exists());
}

#[test]
fn an_outage_in_the_middle_is_waited_out() {
    let dir = tempfile::tempdir().unwrap();
    let outage = [Mischief::Status(503); 3];
    let script = [&[Mischief::Truncate(1000)][..], &outage, &[Mischief::None]].concat();
    let server = Server::start(&content(), &script);
    let wanted = [trusted(PARAMS, &content())];
    fetch(&wanted, dir.path(), &source_of(&[&server], 3), &mut |_| ()).unwrap();
    assert_whole(dir.path());
}

#[test]
fn who_fetches_second_waits_for_the_first_and_fetches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&content(), &[Mischief::None]);
    let circuit = ParameterFiles::beside(dir.path().join(PARAMS));
    let first = hold(&circuit.lock, || panic!("nobody holds it")).unwrap();
    let (waits, waiting) = std::sync::mpsc::channel();
    let second = {
        let (dir, source) = (dir.path().to_path_buf(), source_of(&[&server], 0));
        thread::spawn(move || {
            fetch(&[trusted(PARAMS, &content())], &dir, &source, &mut |step| {
                if let Step::Waiting { .. } = step {
                    waits.send(()).unwrap();
                }
            })
        })
    };
    waiting.recv_timeout(Duration::from_secs(10)).unwrap();
    fs::write(&circuit.params, content()).unwrap();
    drop(first);
    assert_eq!(second.join().unwrap().unwrap()[0].from, None);
    assert_eq!(server.served(), []);
}

/// A file system of 1 MiB, where the test may mount one.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn over(path: &'a Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "sealbox-test"]).arg(path);
        mount.output().is_ok_and(|done| done.status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
fn a_disk_that_is_too_small_for_all_of_them_is_said_before_the_first_byte() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = SmallDisk::over(dir.path()) else {
        eprintln!("skipped: mounting a tmpfs needs root");
        return;
    };
    let server = Server::start(&content(), &[Mischief::None]);
    // One of them would fit.
    let wanted = [trusted(PARAMS, &content()), trusted("v28-post-1.params", &content())];
    let source = source_of(&[&server], 0);
    let failure = fetch(&wanted, dir.path(), &source, &mut |_| ()).unwrap_err();
    assert_eq!(failure.class, Class::Space);
    assert_eq!(failure.what, "no room for the parameters: 1.3 MiB are to come, 1 MiB are free");
    assert!(failure.mend.contains("FIL_PROOFS_PARAMETER_CACHE"), "{failure}");
    assert_eq!(server.served(), []);
    // What is there already need not come again.
    fs::write(part(dir.path()), content()).unwrap();
    let failure = fetch(&wanted, dir.path(), &source, &mut |_| ()).unwrap_err();
    assert!(failure.what.contains("683.6 KiB are to come"), "{failure}");
}
