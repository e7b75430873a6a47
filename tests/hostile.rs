//! What no connection and no request can do to the real box.

mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use support::http::{
    Answer, LONG, all_words, connect, form, parse, raw, resident_kib, rest_of, send,
};
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

/// Every address with its parameters: the pages' as the sources have them, the API's as it says.
fn routes(lab: &Lab) -> Vec<String> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let sources = support::files(&web).into_iter().filter(|file| !file.starts_with("tests"));
    let texts = sources.filter_map(|file| fs::read_to_string(web.join(file)).ok());
    let document = lab.get("/api/v1/openapi.json");
    let of_the_api = document["paths"].as_object().expect("the API's addresses").keys().cloned();
    let routes: Vec<String> = texts
        .flat_map(|text| {
            let found = text.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.map(str::to_owned).collect::<Vec<_>>()
        })
        .chain(["/login".to_owned(), "/logout".to_owned()])
        .chain(of_the_api)
        .collect();
    assert!(routes.len() > 60, "{routes:?}");
    routes
}

/// The same sequence each time: what fails can be seen to fail again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % most
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

const METHODS: [&str; 9] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"];
const NASTY: [&str; 14] = [
    "0",
    "1",
    "-1",
    "P2",
    "32",
    "18446744073709551616",
    "%00",
    "%ff",
    "a%2f..%2f",
    "%3Cscript%3E",
    "9999999999999999999999",
    "sealbox.css",
    "x",
    "%F0%9F%92%A9",
];
const FIELDS: [&str; 14] = [
    "count",
    "size",
    "back",
    "phase",
    "path",
    "cause",
    "password",
    "after",
    "limit",
    "state",
    "sector",
    "number",
    "task_type",
    "seen",
];

fn request(dice: &mut Dice, route: &str, port: u16) -> (String, String) {
    let method = dice.of(&METHODS);
    let path: Vec<&str> = route
        .split('/')
        .map(|part| if part.starts_with('{') { dice.of(&NASTY) } else { part })
        .collect();
    let fields: Vec<String> =
        (0..dice.below(4)).map(|_| format!("{}={}", dice.of(&FIELDS), dice.of(&NASTY))).collect();
    let json = [
        r#"{"count":2}"#,
        r#"{"count":-1,"size":"x"}"#,
        "[",
        "null",
        r#"{"phase":"P9"}"#,
        r#"{"path":"/etc"}"#,
        "{\"a\":\"\\u0000\"}",
        "",
    ];
    let kinds = [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/plain",
        "multipart/form-data",
    ];
    let body = if dice.below(2) == 0 { fields.join("&") } else { dice.of(&json).to_owned() };
    let more = [
        "cookie: sealbox_said=ff; a",
        "hx-request: true",
        "if-none-match: \"x\"",
        "accept: */*",
        "accept-encoding: gzip",
        "range: bytes=0-",
        "expect: 100-continue",
        "origin: null",
    ];
    let head = format!(
        "{method} {}?{} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\ncontent-type: {}\r\n{}\r\ncontent-length: {}\r\n\r\n{body}",
        path.join("/"),
        fields.join("&"),
        dice.of(&kinds),
        dice.of(&more),
        body.len()
    );
    (format!("{method} {}", path.join("/")), head)
}

/// The status of what is answered to it; 0 for none. A live connection has no end to read to.
fn status_of(port: u16, request: &str) -> u16 {
    const GO_ON: &str = "HTTP/1.1 100 Continue\r\n\r\n";
    const STATUS: std::ops::Range<usize> = 9..12;
    let mut stream = connect(port);
    let _ = stream.write_all(request.as_bytes());
    let (mut got, mut piece) = (String::new(), [0; 256]);
    loop {
        let answer = got.strip_prefix(GO_ON).unwrap_or(&got);
        if let Some(status) = answer.get(STATUS).filter(|status| *status != "100") {
            return status.parse().unwrap_or(0);
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return 0,
            Ok(more) => got.push_str(&text(&piece[..more])),
        }
    }
}

#[test]
fn no_request_makes_it_fail_or_grow() {
    const LEAK_KIB: u64 = 48 * 1024;
    let mut lab = Lab::simulated("");
    lab.start();
    let (port, routes) = (lab.port.number, routes(&lab));
    let mut dice = Dice(20_260_101);
    let mut grown_from = 0;
    for nth in 0..3_000 {
        let route = &routes[nth % routes.len()];
        let (what, sent) = request(&mut dice, route, port);
        let start = Instant::now();
        let status = loop {
            match status_of(port, &sent) {
                429 if !what.contains("/login") => {
                    assert!(start.elapsed() < LONG, "{what} is slowed down for ever");
                    std::thread::sleep(Duration::from_millis(20));
                }
                status => break status,
            }
        };
        assert!(
            (200..500).contains(&status),
            "{nth}: {what}: {status}\n{sent}\n{}",
            lab.messages()
        );
        if nth == 600 {
            grown_from = resident_kib(lab.pid());
        }
    }
    let grown = resident_kib(lab.pid()).saturating_sub(grown_from);
    println!("grown by {grown} KiB from {grown_from} KiB");
    assert!(grown < LEAK_KIB, "it has grown by {grown} KiB");
    lab.get("/api/v1/status");
    assert!(!all_words(&lab).contains("panicked"));
}
