//! Drives the built binary as an operator would: starts it in a directory of its own, asks its API,
//! runs its commands, kills it.
#![allow(dead_code, reason = "each test binary uses its part of it")]

pub mod crowd;
pub mod dice;
pub mod drawn;
pub mod http;
pub mod ledger;
pub mod mounts;
pub mod points;

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Fast phases of the simulated engine, and a fast chain.
pub const QUICK: &str = "
[simulated]
p1_ms = 5
p2_ms = 5
p3_ms = 5
p4_ms = 5
p5_ms = 5
p6_ms = 5
[chain.lab]
epoch_ms = 5
challenge_delay = 2
";

/// The longest any condition is waited for, unless the test says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const LOOK_EVERY: Duration = Duration::from_millis(20);
const PORTS: std::ops::Range<u16> = 15_000..25_000;

/// A directory with a configuration, and the box that runs in it, if one does.
pub struct Lab {
    pub dir: TempDir,
    pub port: Port,
    /// `[engine] isolation`; the file's, if there is none here.
    pub isolation: Option<&'static str>,
    child: Option<Child>,
}

impl Lab {
    /// A simulated box with these lines in its configuration, beside the defaults of the tests.
    pub fn simulated(more: &str) -> Self {
        Self::with(&format!("auto_pledge = 0\n{more}\n[engine]\nkind = \"simulated\"\n"))
    }

    /// `text` comes first in the file: it may begin with top-level keys.
    pub fn with(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let port = Port::take();
        let lab = Self { dir, port, isolation: None, child: None };
        lab.configure(text);
        lab
    }

    pub fn isolated(mut self, isolation: &'static str) -> Self {
        self.isolation = Some(isolation);
        self
    }

    pub fn configure(&self, text: &str) {
        let web = format!("[web]\nlisten = \"127.0.0.1:{}\"\n", self.port.number);
        fs::write(self.path("appliance.toml"), format!("{text}\n{web}")).expect("configuration");
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// The program, in the lab's directory.
    pub fn sealbox(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealbox"));
        command.current_dir(self.dir.path());
        command
    }

    /// Runs a command to its end.
    pub fn cli(&self, args: &[&str]) -> Output {
        self.sealbox().args(args).output().expect("sealbox runs")
    }

    /// Runs a command with `--json` that must succeed.
    pub fn json(&self, args: &[&str]) -> Value {
        let output = self.sealbox().args(args).arg("--json").output().expect("sealbox runs");
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON on standard output")
    }

    /// Starts the box and waits until it answers.
    pub fn start(&mut self) -> &mut Self {
        self.launch(&[]);
        self.wait_until_it_answers();
        self
    }

    pub fn launch(&mut self, env: &[(&str, &str)]) {
        assert!(self.child.is_none(), "it runs already");
        let log = fs::File::create(self.path("stderr.txt")).expect("a file for its messages");
        let child = self
            .sealbox()
            .envs(env.iter().copied())
            .envs(self.isolation.map(|isolation| ("SEALBOX_ENGINE_ISOLATION", isolation)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("sealbox starts");
        self.child = Some(child);
    }

    pub fn wait_until_it_answers(&mut self) {
        let start = Instant::now();
        while self.try_get("/api/v1/status").is_none() {
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                panic!("sealbox ended with {status}: {}", self.messages());
            }
            assert!(start.elapsed() < PATIENCE, "no answer: {}", self.messages());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// The processes that it runs attempts in.
    pub fn children(&self) -> Vec<u32> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid()));
        let lists = tasks.into_iter().flatten().flatten().map(|task| task.path().join("children"));
        let lists: Vec<_> = lists.filter_map(|list| fs::read_to_string(list).ok()).collect();
        lists.iter().flat_map(|list| list.split(' ')).filter_map(|pid| pid.parse().ok()).collect()
    }

    /// Processor time that it and the attempts that run have used so far.
    pub fn cpu_ms(&self) -> u64 {
        let children = self.children();
        self.cpu_ms_of(self.pid())
            + children.into_iter().map(|pid| self.cpu_ms_of(pid)).sum::<u64>()
    }

    /// 0 for a process that has ended.
    fn cpu_ms_of(&self, pid: u32) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let user_and_system = after_name.split_whitespace().skip(11).take(2);
        // The kernel counts in hundredths of a second.
        user_and_system.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        let child = self.child.as_mut().expect("it was started");
        let status = child.try_wait().expect("its status")?;
        self.child = None;
        Some(status)
    }

    /// Waits for its end; the exit code.
    pub fn wait_for_end(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("it runs");
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("its status") {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "it does not end: {}", self.messages());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// What it has written to standard error since it was started.
    pub fn messages(&self) -> String {
        fs::read_to_string(self.path("stderr.txt")).unwrap_or_default()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port.number)
    }

    pub fn try_get(&self, path: &str) -> Option<Value> {
        let mut response = ureq::get(self.url(path)).call().ok()?;
        response.body_mut().read_json().ok()
    }

    pub fn get(&self, path: &str) -> Value {
        self.try_get(path).unwrap_or_else(|| panic!("{path}: {}", self.messages()))
    }

    /// A page's HTML.
    pub fn page(&self, path: &str) -> String {
        let mut response = ureq::get(self.url(path)).call().expect("the page");
        response.body_mut().read_to_string().expect("the page's text")
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, u16> {
        match ureq::post(self.url(path)).send_json(body) {
            Ok(mut response) => Ok(response.body_mut().read_json().unwrap_or(Value::Null)),
            Err(ureq::Error::StatusCode(code)) => Err(code),
            Err(other) => panic!("{path}: {other}"),
        }
    }

    pub fn pledge(&self, count: u64) {
        self.post("/api/v1/orders", &serde_json::json!({ "count": count })).expect("an order");
    }

    pub fn sector(&self, number: u64) -> Value {
        self.try_get(&format!("/api/v1/sectors/{number}")).unwrap_or(Value::Null)
    }

    /// Waits until the condition holds.
    pub fn wait(&self, what: &str, condition: impl FnMut(&Self) -> bool) {
        self.wait_for(PATIENCE, what, condition);
    }

    pub fn wait_for(
        &self,
        patience: Duration,
        what: &str,
        mut condition: impl FnMut(&Self) -> bool,
    ) {
        let start = Instant::now();
        while !condition(self) {
            if start.elapsed() > patience {
                panic!("waited in vain: {what}\n{}", self.messages());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    pub fn wait_for_state(&self, number: u64, state: &str) {
        self.wait(&format!("sector {number} {state}"), |lab| lab.sector(number)["state"] == state);
    }

    /// Waits until the phase's task has this row: (is_taken, is_finished, result_status).
    pub fn wait_for_row(&self, number: u64, task_type: u64, row: (u64, u64, u64)) {
        let what = format!("task {task_type} of sector {number} at {row:?}");
        self.wait(&what, |lab| lab.row(number, task_type) == Some(row));
    }

    pub fn row(&self, number: u64, task_type: u64) -> Option<(u64, u64, u64)> {
        let sector = self.sector(number);
        let tasks = sector["tasks"].as_array()?;
        let task = tasks.iter().find(|task| task["task_type"] == task_type)?;
        let field = |name: &str| task[name].as_u64();
        Some((field("is_taken")?, field("is_finished")?, field("result_status")?))
    }

    /// The sector's history in order, each as in `P1 started` or `deleted`.
    pub fn history(&self, number: u64) -> Vec<String> {
        let sector = self.sector(number);
        let history = sector["history"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let word = |entry: &Value| format!("{} {}", text(&entry["phase"]), text(&entry["event"]));
        history.iter().map(|entry| word(entry).trim().to_owned()).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A port that nobody else has as long as this lives, the box being up or down. It is below those
/// that the kernel gives to connections: a box that is down for a moment does not lose it to one.
pub struct Port {
    pub number: u16,
    /// Names of sockets without a file are the whole machine's: the other tests see it.
    _taken: UnixListener,
}

impl Port {
    pub fn take() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        for _ in PORTS {
            let number = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS.len() as u16;
            let name = SocketAddr::from_abstract_name(format!("sealbox-test-{number}"));
            let taken = UnixListener::bind_addr(&name.expect("a short name"));
            if let Ok(taken) = taken
                && TcpListener::bind(("127.0.0.1", number)).is_ok()
            {
                return Self { number, _taken: taken };
            }
        }
        panic!("every port of {PORTS:?} is taken");
    }
}

/// All files below a directory, by relative path.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else {
                found.push(path.strip_prefix(dir).expect("below it").to_path_buf());
            }
        }
    }
    found.sort();
    found
}

/// What is left of sectors on scratch.
pub fn left_on(scratch: &Path) -> Vec<PathBuf> {
    files(scratch).into_iter().filter(|file| !is_of_the_root(file)).collect()
}

/// What stays on a scratch whatever becomes of its sectors: whose it is, what sectors of a size
/// share, and what a start that was cut short left, which goes with one that is a minute later.
pub fn is_of_the_root(file: &Path) -> bool {
    file == Path::new("sealbox-root.json")
        || file.to_string_lossy().starts_with("shared/tree-d-")
        || file.to_string_lossy().contains(".sealbox-probe-")
}

/// Where tests keep the Groth parameters between runs: outside the clone.
pub fn parameters() -> PathBuf {
    if let Some(dir) = std::env::var_os("FIL_PROOFS_PARAMETER_CACHE") {
        return PathBuf::from(dir);
    }
    let home = PathBuf::from(std::env::var_os("HOME").expect("a home directory"));
    home.join(".cache/sealbox/parameters")
}
