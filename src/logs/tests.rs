//! From an event to the files, with a subscriber of the test's own thread.

use tracing_appender::non_blocking;

use super::*;
use crate::domain::phase::Phase;

struct Bench {
    logs: Logs,
    dir: tempfile::TempDir,
    file: Option<WorkerGuard>,
}

/// What is logged in `log` comes into the logs of a directory.
fn logged(log: impl FnOnce()) -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let logs = Logs::open(dir.path(), ActorId(1000)).unwrap();
    let file = std::fs::File::create(dir.path().join("box.jsonl")).unwrap();
    let (writer, guard) = non_blocking(file);
    let subscriber = tracing_subscriber::registry().with(Keeping::new(logs.clone(), writer));
    tracing::subscriber::with_default(subscriber, log);
    logs.flush();
    Bench { logs, dir, file: Some(guard) }
}

impl Bench {
    fn of_sector(&self, sector: u64) -> Vec<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let query = Query { limit: 1_000, ..Query::default() };
        let found = runtime.block_on(self.logs.of_sector(SectorNumber(sector), &query));
        assert_eq!(found.trouble, None);
        found.page.lines
    }

    fn messages(&self, sector: u64) -> Vec<String> {
        self.of_sector(sector).into_iter().map(|line| line.message).collect()
    }
}

fn attempt(sector: u64, phase: Phase) -> tracing::Span {
    tracing::error_span!("attempt", sector, phase = %phase, attempt = 2u32)
}

#[test]
fn what_is_logged_in_an_attempt_s_span_is_in_its_sector_s_log_and_in_the_box_s() {
    let mut bench = logged(|| {
        tracing::info!("of nobody");
        attempt(7, Phase::P2).in_scope(|| tracing::error!(class = "space", "attempt failed"));
        tracing::warn!(sector = 8u64, "the chain gives no answer");
    });
    let lines = bench.of_sector(7);
    assert_eq!(lines.len(), 1);
    let about = About { sector: Some(SectorNumber(7)), phase: Some(Phase::P2), attempt: Some(2) };
    assert_eq!((lines[0].about, lines[0].level), (about, Level::Error));
    assert_eq!(lines[0].text(), "attempt failed class=space");
    assert_eq!(bench.messages(8), ["the chain gives no answer"]);
    assert_eq!(bench.messages(9), [""; 0]);
    drop(bench.file.take());
    let all = std::fs::read_to_string(bench.dir.path().join("box.jsonl")).unwrap();
    let ids: Vec<_> =
        all.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().id).collect();
    assert_eq!(ids.len(), 3);
    let query = Query { limit: 9, ..Query::default() };
    let in_memory = bench.logs.of_box(&query).lines;
    assert_eq!(in_memory.iter().map(|line| line.id).collect::<Vec<_>>(), ids);
    assert_eq!(bench.logs.latest(Whose::Sector(SectorNumber(7))), Some(lines[0].id));
}

#[test]
fn a_line_of_a_pool_s_thread_is_the_attempt_s_if_only_one_runs_and_else_nobody_s() {
    let bench = logged(|| {
        let of_pool = |text| tracing::info!(target: "storage_proofs_porep::stacked", "{text}");
        of_pool("before");
        let one = attempt(7, Phase::P2);
        of_pool("one runs");
        tracing::info!("of the box");
        let other = attempt(8, Phase::P1);
        of_pool("two run");
        drop(one);
        of_pool("the other runs");
        drop(other);
        of_pool("after");
    });
    assert_eq!(bench.messages(7), ["one runs"]);
    assert_eq!(bench.messages(8), ["the other runs"]);
}

#[test]
fn what_a_child_writes_has_the_target_that_it_names() {
    let bench = logged(|| {
        let _entered = attempt(7, Phase::P4).entered();
        tracing::info!(target: OF_CHILD, "bellperson::groth16: proof made");
        tracing::warn!(target: OF_CHILD, "thread 'main' panicked: no target here");
    });
    let said: Vec<_> = bench.of_sector(7).into_iter().map(|l| (l.target, l.message)).collect();
    let panicked = "thread 'main' panicked: no target here";
    let of = |target: &str, message: &str| (target.to_owned(), message.to_owned());
    assert_eq!(said, [of("bellperson::groth16", "proof made"), of(OF_CHILD, panicked)]);
}

#[test]
fn a_log_that_cannot_be_read_gives_the_lines_in_memory_and_says_so() {
    let bench = logged(|| tracing::warn!(sector = 7u64, "in memory"));
    let path = bench.dir.path().join("sectors/s-t01000-7.jsonl");
    std::fs::remove_file(&path).unwrap();
    // Reading a directory fails.
    std::fs::create_dir(&path).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let query = Query { limit: 9, ..Query::default() };
    let found = runtime.block_on(bench.logs.of_sector(SectorNumber(7), &query));
    assert!(found.trouble.unwrap().contains("cannot be read"));
    assert_eq!(found.page.lines[0].message, "in memory");
}
