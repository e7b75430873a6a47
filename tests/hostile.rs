//! What no connection and no request can do to the real box.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use support::http::{Answer, LONG, all_words, connect, form, parse, raw, rest_of, send};
use support::{Lab, text};

#[test]
fn forged_hosts_origins_and_paths_get_nothing() {
    let mut lab = Lab::simulated("");
    lab.start();
    for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.9", ""] {
        assert_eq!(send(&lab, "GET", "/", &[("host", host)], "").status, 403, "{host}");
    }
    let nameless = raw(lab.port.number, b"GET / HTTP/1.0\r\n\r\n").expect("an answer");
    assert_eq!(nameless.status, 403);
    for header in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")] {
        for path in ["/drain", "/login", "/logout", "/api/v1/drain"] {
            assert_eq!(form(&lab, path, "password=x", &[header]).status, 403, "{header:?} {path}");
        }
    }
    for path in [
        "/static/../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/sectors/..%2f..%2f",
        "/api/v1/../../etc/passwd",
    ] {
        let answer = send(&lab, "GET", path, &[], "");
        assert!(answer.status == 404 || answer.status == 400, "{path}: {}", answer.status);
        assert!(!answer.body.contains("root:"), "{path}");
    }
    assert_eq!(lab.get("/api/v1/status")["paused"], lab.get("/api/v1/status")["paused"]);
    assert!(!lab.page("/").contains("Drained:"), "nothing was done");
}

#[test]
fn too_much_is_refused_and_the_box_goes_on() {
    let mut lab = Lab::simulated("");
    lab.start();
    let port = lab.port.number;
    let big = "a".repeat(80 * 1024);
    for path in ["/orders", "/api/v1/orders", "/login", "/nothing"] {
        let answer = form(&lab, path, &format!("count=1&back={big}"), &[]);
        assert_eq!(answer.status, 413, "{path}");
    }
    let head = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n");
    let many: String = (0..2_000).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {big}\r\n");
    for flood in [many, long] {
        // Cut, or told: what was not read makes the connection's end a reset.
        let answer = raw(port, format!("{head}{flood}\r\n").as_bytes());
        assert!(answer.is_none_or(|answer| answer.status == 431), "{}", flood.len());
    }
    for senseless in [
        &b"\x16\x03\x01\x02\x00\x01\x00"[..],
        b"\0\0\0\0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = raw(port, senseless);
        assert!(answer.is_none_or(|answer| answer.status < 500));
    }
    for (body, kind) in [
        ("{", "application/json"),
        ("count", "application/json"),
        ("\u{0}", "x/y"),
        ("count=%zz&%=", "application/x-www-form-urlencoded"),
        (r#"{"count":{"a":[[]]}}"#, "application/json"),
    ] {
        for path in
            ["/orders", "/api/v1/orders", "/api/v1/sectors/0/retry", "/api/v1/orphans/delete"]
        {
            let answer = send(&lab, "POST", path, &[("content-type", kind)], body);
            assert!((400..500).contains(&answer.status), "{path} {body}: {}", answer.status);
        }
    }
    lab.get("/api/v1/status");
    assert!(!all_words(&lab).contains("panicked"));
}

/// Sends a byte now and then until the box has had enough; what it says, if anything.
fn dawdle(port: u16, begin: &str, drop: &str) -> Option<Answer> {
    let mut stream = connect(port);
    stream.write_all(begin.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let (start, mut got, mut piece) = (Instant::now(), Vec::new(), [0; 4_096]);
    loop {
        assert!(start.elapsed() < LONG, "nobody minds {begin:?}");
        match stream.read(&mut piece) {
            Ok(0) => return parse(&got),
            Ok(more) => got.extend_from_slice(&piece[..more]),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                let _ = stream.write_all(drop.as_bytes());
            }
            Err(_) => return parse(&got),
        }
    }
}

#[test]
fn who_dawdles_is_cut_off_and_holds_up_nobody() {
    let mut lab = Lab::simulated("");
    lab.start();
    let port = lab.port.number;
    let host = format!("host: 127.0.0.1:{port}\r\n");
    let slow_head = format!("GET / HTTP/1.1\r\n{host}");
    let slow_body = format!(
        "POST /api/v1/orders HTTP/1.1\r\n{host}content-type: application/json\r\ncontent-length: 5000\r\n\r\n"
    );
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| dawdle(port, "", ""));
        let head = scope.spawn(|| dawdle(port, &slow_head, "x-y: z\r\n"));
        let body = scope.spawn(|| dawdle(port, &slow_body, " "));
        let idle =
            scope.spawn(|| dawdle(port, &format!("GET /api/v1/doctor HTTP/1.1\r\n{host}\r\n"), ""));
        let crowd: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = connect(port);
                stream.write_all(b"GET / HTTP/1.1\r\nx: ").unwrap();
                stream
            })
            .collect();
        lab.get("/api/v1/status");
        assert!(silent.join().unwrap().is_none());
        assert!(head.join().unwrap().is_none_or(|answer| answer.status == 408));
        assert_eq!(body.join().unwrap().map(|answer| answer.status), Some(408));
        assert_eq!(idle.join().unwrap().map(|answer| answer.status), Some(200));
        for mut stream in crowd {
            assert!(parse(&rest_of(&mut stream)).is_none_or(|answer| answer.status == 408));
        }
    });
    lab.get("/api/v1/status");
}

#[test]
fn one_address_cannot_take_every_connection() {
    let mut lab = Lab::simulated("");
    lab.start();
    let port = lab.port.number;
    let live = format!("GET /live HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    let mut open = Vec::new();
    let refused = loop {
        let mut stream = connect(port);
        let _ = stream.write_all(live.as_bytes());
        let mut first = [0; 16];
        let got = stream.read(&mut first).unwrap_or(0);
        if !text(&first[..got]).starts_with("HTTP/1.1 200") {
            break text(&first[..got]);
        }
        open.push(stream);
        assert!(open.len() < 1_000, "there is no limit");
    };
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(open.len() > 100, "a hundred browsers are welcome: {}", open.len());
    drop(open);
    lab.wait("a place", |lab| lab.try_get("/api/v1/status").is_some());
}
