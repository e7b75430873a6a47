//! One attempt's process, from its start to its last word. It never outlives the call.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use serde_json::Value;

use super::lines;
use super::wire::{Request, Said, misunderstood};
use crate::domain::failure::{Class, Failure};
use crate::domain::progress::Tell;
use crate::stop::Stop;

/// What is started.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    /// Before the words for who reads the list of processes.
    pub args: Vec<String>,
}

impl Program {
    /// This program, even where its file was replaced by a newer one meanwhile.
    pub fn this() -> Self {
        Self { path: "/proc/self/exe".into(), args: vec!["attempt".to_owned()] }
    }
}

/// Makes the request of a new process and waits for its answer. On a thread that lives as long as
/// the box: the kernel kills the process when the thread that started it ends.
///
/// # Errors
/// The attempt's own failure, and transient when the process dies or cannot be started.
pub fn ask(
    program: &Program,
    request: &Request,
    stop: &Stop,
    tell: Tell<'_>,
) -> Result<Value, Failure> {
    let document = serde_json::to_vec(request).map_err(|error| misunderstood(&error))?;
    let mut running = Running::start(program, request, stop).map_err(not_started)?;
    let mut input = running.child.stdin.take().expect("its input was piped");
    let output = running.child.stdout.take().expect("its output was piped");
    let errors = running.child.stderr.take().expect("its errors were piped");
    let span = tracing::Span::current();
    thread::scope(|scope| {
        let hear = move || {
            let _entered = span.entered();
            lines::take_over(errors)
        };
        let hearing = thread::Builder::new().name("attempt-log".to_owned());
        let hearing = hearing.spawn_scoped(scope, hear).map_err(not_started)?;
        // A process that does not read to the end has died; how, its status says.
        let _ = input.write_all(&document);
        drop(input);
        let answer = listen(output, tell);
        if answer.is_some() {
            // It has said its last word, and all of its files are synced: what its libraries do at
            // an exit, and may hang in, is not waited for.
            let _ = running.child.kill();
        }
        let status = running.end().map_err(not_started)?;
        let last = hearing.join().unwrap_or_default();
        answer.unwrap_or_else(|| Err(died(status, &last)))
    })
}

/// A process that is killed and reaped at the latest when this is dropped.
struct Running<'a> {
    child: Child,
    stop: &'a Stop,
    reaped: bool,
}

impl<'a> Running<'a> {
    fn start(program: &Program, request: &Request, stop: &'a Stop) -> std::io::Result<Self> {
        let call = &request.call;
        let what = call.phase().map_or("a check", |phase| phase.short_name());
        let child = Command::new(&program.path)
            .arg0("sealbox")
            .args(&program.args)
            .arg(format!("{what} of {}", call.sector()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Out of reach of the terminal's Ctrl-C: that one lets running attempts finish.
            .process_group(0)
            .spawn()?;
        stop.enter(Pid::from_child(&child));
        Ok(Self { child, stop, reaped: false })
    }

    /// Waits for its end, by itself or by order.
    fn end(&mut self) -> std::io::Result<ExitStatus> {
        let id = WaitId::Pid(Pid::from_child(&self.child));
        // Looked at first and reaped then, so that an order in between kills nobody else.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(id.clone(), ended) {}
        self.reap()
    }

    fn reap(&mut self) -> std::io::Result<ExitStatus> {
        self.stop.leave();
        self.reaped = true;
        self.child.wait()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if !self.reaped {
            // Both can only fail where it is gone already.
            let _ = self.child.kill();
            let _ = self.reap();
        }
    }
}

/// Passes on what it tells; its last word, if it came to that.
fn listen(output: ChildStdout, tell: Tell<'_>) -> Option<Result<Value, Failure>> {
    for line in BufReader::new(output).lines() {
        match serde_json::from_str(&line.ok()?) {
            Ok(Said::Progress(progress)) => tell(progress),
            Ok(Said::Ended(result)) => return Some(result),
            Ok(Said::Panicked { message, backtrace }) => {
                return Some(Err(panicked(&message, backtrace)));
            }
            // Something else in it has written to the same place.
            Err(_) => {}
        }
    }
    None
}

fn panicked(message: &str, backtrace: String) -> Failure {
    let what = format!("the attempt panicked: {message}");
    let mend = "it is tried again by itself, in a fresh process; if it stays, report it with the \
                detail";
    Failure::new(Class::Transient, what, mend).detail(backtrace)
}

fn not_started(error: std::io::Error) -> Failure {
    Failure::new(
        Class::Transient,
        "a process for the attempt could not be started",
        "it is tried again by itself; if it stays, see that the box has memory and processes left \
         (`free`, `ulimit -u`)",
    )
    .detail(error.to_string())
}

fn died(status: ExitStatus, last: &[String]) -> Failure {
    let detail = match last {
        [] => "it wrote nothing".to_owned(),
        last => format!("its last lines:\n{}", last.join("\n")),
    };
    let again = "it is tried again by itself";
    let (what, mend) = match status.signal() {
        Some(signal) => {
            let (name, why) = known(signal);
            (
                format!("the attempt's process was killed by signal {signal}{name}"),
                format!("{why}; {again}"),
            )
        }
        None => (
            format!("the attempt's process ended without an answer ({status})"),
            format!("{again}; if it stays, report it with the detail"),
        ),
    };
    Failure::new(Class::Transient, what, mend).detail(detail)
}

/// A signal's name, and what it says of the cause.
fn known(signal: i32) -> (&'static str, &'static str) {
    const DEFECT: &str = "a defect of the proofs library, or bad memory: if it stays, report it \
                          with the detail";
    const DISK: &str = "a file in use was cut short, or its disk failed or is full: look at \
                        `dmesg` and `df`";
    const KILLED: &str = "perhaps the OOM killer: look at `dmesg`";
    match signal {
        4 => (" (SIGILL)", "this processor lacks what the program was built for"),
        6 => (" (SIGABRT)", DEFECT),
        7 => (" (SIGBUS)", DISK),
        9 => (" (SIGKILL)", KILLED),
        11 => (" (SIGSEGV)", DEFECT),
        _ => ("", "see who sent it"),
    }
}
