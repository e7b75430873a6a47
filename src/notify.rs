//! Tells the service manager how the box is, by systemd's `sd_notify` protocol: lines of text in a
//! datagram. Where nobody asked for them, nothing is sent.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

/// The way to the service manager, if there is one. A clone is the same.
#[derive(Debug, Clone, Default)]
pub struct Notify {
    socket: Option<Arc<UnixDatagram>>,
}

impl Notify {
    /// Where `NOTIFY_SOCKET` says.
    pub fn from_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self::default();
        };
        Self::to(&name).unwrap_or_else(|error| {
            tracing::warn!(?name, "the service manager cannot be told anything: {error}");
            Self::default()
        })
    }

    /// To the socket of this name.
    ///
    /// # Errors
    /// If nobody listens there.
    pub fn to(name: &OsStr) -> std::io::Result<Self> {
        connect(name).map(|socket| Self { socket: Some(Arc::new(socket)) })
    }

    /// The box serves, and its scheduler runs; or a reload is over.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// What `systemctl status` shows.
    pub fn status(&self, line: &str) {
        self.send(&format!("STATUS={}", line.replace('\n', " ")));
    }

    /// Keeps the watchdog from biting.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// The configuration is being read again; [`Self::ready`] has to follow.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()));
    }

    /// The box stops, and takes so long for it at most.
    pub fn stopping(&self, within: Duration) {
        self.send(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={}", within.as_micros()));
    }

    /// A start, or whatever else is limited in time, goes on for so long at least.
    pub fn busy(&self, longer: Duration) {
        self.send(&format!("EXTEND_TIMEOUT_USEC={}", longer.as_micros()));
    }

    fn send(&self, text: &str) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(text.as_bytes())
        {
            tracing::debug!(text, "the service manager was not told: {error}");
        }
    }
}

fn connect(name: &OsStr) -> std::io::Result<UnixDatagram> {
    // A name that begins with @ has no file.
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A service manager that does not read must not hold the scheduler up.
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// How often the service manager wants to hear that the box is alive: twice in the time that it
/// waits. None if it does not, or means another process.
pub fn watchdog() -> Option<Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let for_us = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let waits = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && for_us)?;
    Some(Duration::from_micros(waits) / 2)
}

/// By the clock that systemd compares it with.
fn monotonic_usec() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a `timespec` of ours, and the call keeps nothing of it.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    let [seconds, nanos] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds * 1_000_000 + nanos / 1_000
}
