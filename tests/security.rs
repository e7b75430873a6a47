//! Strangers at the door of the real box: who is asked, who is let in, and what no connection and
//! no request can do to it.

mod support;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use support::{Lab, text};

const PASSWORD: &str = "correct horse";
/// Whatever is cut for slowness is cut long before this.
const LONG: Duration = Duration::from_secs(90);

/// An answer, read to the connection's end.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        line.unwrap_or_default()
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.set_write_timeout(Some(LONG)).unwrap();
    stream
}

/// What comes until the connection ends; nothing, if it is cut.
fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    match stream.read_to_end(&mut got) {
        Ok(_) => got,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => got,
        Err(error) => panic!("{error} after {:?}", text(&got)),
    }
}

fn parse(answer: &[u8]) -> Option<Answer> {
    let answer = text(answer);
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// Sends these bytes, whatever they are.
fn raw(port: u16, request: &[u8]) -> Option<Answer> {
    let mut stream = connect(port);
    // The box may have answered and closed before it has read all of it.
    let _ = stream.write_all(request);
    parse(&rest_of(&mut stream))
}

fn send(lab: &Lab, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let port = lab.port.number;
    let mut request = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.push_str(&format!("host: 127.0.0.1:{port}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let answer = raw(port, request.as_bytes());
    answer.unwrap_or_else(|| panic!("{method} {path}: no answer; {}", lab.messages()))
}

fn form(lab: &Lab, path: &str, fields: &str, headers: &[(&str, &str)]) -> Answer {
    let mut all = vec![("content-type", "application/x-www-form-urlencoded")];
    all.extend(headers);
    send(lab, "POST", path, &all, fields)
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn status(lab: &Lab, authorization: &str) -> u16 {
    send(lab, "GET", "/api/v1/status", &[("authorization", authorization)], "").status
}

/// Runs `sealbox passwd` with this on its standard input.
fn passwd(lab: &Lab, args: &[&str], password: &str) -> Output {
    let mut child = lab
        .sealbox()
        .arg("passwd")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sealbox runs");
    writeln!(child.stdin.take().expect("it is piped"), "{password}").expect("it is read");
    child.wait_with_output().expect("it ends")
}

fn set_password(lab: &Lab, args: &[&str], password: &str) {
    let output = passwd(lab, args, password);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The session's `Cookie` header.
fn sign_in(lab: &Lab, password: &str) -> String {
    let answer = form(lab, "/login", &format!("password={password}&back=/tasks"), &[]);
    assert_eq!((answer.status, answer.header("location")), (303, "/tasks"), "{}", answer.body);
    answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned()
}

fn launch_and_wait(lab: &mut Lab, env: &[(&str, &str)], answer: u16) {
    lab.launch(env);
    let port = lab.port.number;
    let request = format!(
        "GET /api/v1/status HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n"
    );
    lab.wait("an answer", |_| {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
        let _ = stream.write_all(request.as_bytes());
        let mut got = Vec::new();
        let _ = stream.read_to_end(&mut got);
        parse(&got).is_some_and(|got| got.status == answer)
    });
}

/// All that the box has written for people to read.
fn all_words(lab: &Lab) -> String {
    let logs = lab.path("sealbox-data/logs");
    let files = support::files(&logs).into_iter();
    let logs: String = files.filter_map(|file| fs::read_to_string(logs.join(file)).ok()).collect();
    logs + &lab.messages()
}

#[test]
fn an_address_that_others_reach_is_refused_without_a_password_and_asks_with_one() {
    let mut lab = Lab::simulated("");
    let all = format!("0.0.0.0:{}", lab.port.number);
    let output = lab.sealbox().env("SEALBOX_WEB_LISTEN", &all).output().unwrap();
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    for part in [all.as_str(), "no operator's password is set", "sealbox passwd", "ssh -L"] {
        assert!(message.contains(part), "{message}");
    }
    for (args, bad, why) in [
        (&["--role", "viewer"][..], "wall display", "without an operator's password"),
        (&[][..], "short", "8 to 256"),
        (&["--role", "metrics"][..], "wall display", "operator or viewer"),
    ] {
        let output = passwd(&lab, args, bad);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(why), "{}", text(&output.stderr));
    }
    set_password(&lab, &[], PASSWORD);
    let same = passwd(&lab, &["--role", "viewer"], PASSWORD);
    assert!(text(&same.stderr).contains("the operator's password already"));
    launch_and_wait(&mut lab, &[("SEALBOX_WEB_LISTEN", &all)], 401);
    let led = send(&lab, "GET", "/tasks", &[], "");
    assert_eq!((led.status, led.header("location")), (303, "/login?back=/tasks"));
    assert_eq!(form(&lab, "/login", "password=wrong", &[]).status, 403);
    let cookie = sign_in(&lab, PASSWORD);
    assert_eq!(send(&lab, "GET", "/tasks", &[("cookie", &cookie)], "").status, 200);
    let mode = fs::metadata(lab.path("sealbox-data/access.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_the_command_line_changes_holds_at_once_and_sessions_outlive_a_restart() {
    let mut lab = Lab::simulated("");
    lab.start();
    assert_eq!(status_without(&lab), 200, "nothing is asked for yet");
    set_password(&lab, &[], PASSWORD);
    assert_eq!(status_without(&lab), 401);
    // Beside the box, who may read its directory is known.
    lab.json(&["sectors"]);
    let created = lab.json(&["token", "create", "ci", "--role", "viewer", "--expires", "90d"]);
    let token = created["token"].as_str().expect("it is shown once").to_owned();
    assert_eq!(status(&lab, &bearer(&token)), 200);
    let press = |authorization: &str| {
        send(&lab, "POST", "/api/v1/drain", &[("authorization", authorization)], "").status
    };
    assert_eq!(press(&bearer(&token)), 403);
    let mut remote = lab.sealbox();
    remote.args(["sectors", "--url", &lab.url("")]).env("SEALBOX_TOKEN", &token);
    assert!(remote.output().unwrap().status.success());
    let nobody = lab.cli(&["sectors", "--url", &lab.url("")]);
    assert!(text(&nobody.stderr).contains("sealbox token create"), "{}", text(&nobody.stderr));
    let wrong = lab.cli(&["sectors", "--token", "sealbox_wrong"]);
    assert!(text(&wrong.stderr).contains("no such token"), "{}", text(&wrong.stderr));
    let listed = text(&lab.cli(&["token", "list"]).stdout);
    assert!(listed.contains("ci") && listed.contains("expires in") && !listed.contains(&token));
    let again = lab.cli(&["token", "create", "ci"]);
    assert_eq!(again.status.code(), Some(2), "{}", text(&again.stderr));
    assert!(lab.cli(&["token", "revoke", "ci"]).status.success());
    assert_eq!(status(&lab, &bearer(&token)), 401);
    assert_eq!(lab.cli(&["token", "revoke", "ci"]).status.code(), Some(4));
    let cookie = sign_in(&lab, PASSWORD);
    let with = |lab: &Lab| send(lab, "GET", "/api/v1/status", &[("cookie", &cookie)], "").status;
    lab.kill();
    launch_and_wait(&mut lab, &[], 401);
    assert_eq!(with(&lab), 200, "a restart signs nobody out");
    set_password(&lab, &[], "another horse");
    assert_eq!(with(&lab), 401);
    let words = all_words(&lab);
    let session = cookie.split('=').nth(1).unwrap();
    for secret in [PASSWORD, "another horse", &token, session, "$argon2"] {
        assert!(!words.contains(secret), "the log holds {secret}");
    }
}

fn status_without(lab: &Lab) -> u16 {
    send(lab, "GET", "/api/v1/status", &[], "").status
}

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

/// Every address that the sources have, with their parameters.
fn routes() -> Vec<String> {
    let web = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let sources = support::files(&web).into_iter().filter(|file| !file.starts_with("tests"));
    let texts = sources.filter_map(|file| fs::read_to_string(web.join(file)).ok());
    let routes: Vec<String> = texts
        .flat_map(|text| {
            let found = text.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
            found.map(str::to_owned).collect::<Vec<_>>()
        })
        .chain(["/login".to_owned(), "/logout".to_owned()])
        .collect();
    assert!(routes.len() > 40, "{routes:?}");
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

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn no_request_makes_it_fail_or_grow() {
    const LEAK_KIB: u64 = 48 * 1024;
    let mut lab = Lab::simulated("");
    lab.start();
    let (port, routes) = (lab.port.number, routes());
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

#[test]
fn signing_in_again_and_again_takes_the_memory_of_one() {
    const FOR_ONE_KIB: u64 = 64 * 1024;
    let mut lab = Lab::simulated("");
    lab.start();
    set_password(&lab, &[], PASSWORD);
    let before = resident_kib(lab.pid());
    std::thread::scope(|scope| {
        for _ in 0..9 {
            scope.spawn(|| sign_in(&lab, PASSWORD));
        }
    });
    let grown = resident_kib(lab.pid()).saturating_sub(before);
    println!("nine sessions have grown it by {grown} KiB");
    assert!(grown < FOR_ONE_KIB, "it has grown by {grown} KiB");
}

/// A certificate for `localhost` and its key, in PEM.
fn certificate() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a pair");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn trusting(pem: &str) -> ureq::Agent {
    let certificate = ureq::tls::Certificate::from_pem(pem.as_bytes()).expect("PEM");
    let roots = ureq::tls::RootCerts::new_with_certs(&[certificate]);
    let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
    let config = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false);
    config.max_redirects(0).build().into()
}

#[test]
fn a_certificate_is_checked_at_the_start_used_and_read_again() {
    let mut lab = Lab::simulated("");
    let port = lab.port.number;
    let file = lab.path("appliance.toml");
    let more = "hosts = [\"localhost\"]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n";
    let with_tls = fs::read_to_string(&file).unwrap() + more;
    fs::write(&file, with_tls).unwrap();
    let ((cert, key), (next_cert, next_key)) = (certificate(), certificate());
    let put = |cert: &str, key: &str| {
        fs::write(lab.path("cert.pem"), cert).unwrap();
        fs::write(lab.path("key.pem"), key).unwrap();
    };
    let refused = |words: &[&str]| {
        let output = lab.cli(&["run"]);
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
        assert!(!message.contains("PRIVATE KEY"), "{message}");
    };
    refused(&["cert.pem", "cannot be read", "tls_cert"]);
    put(&cert, &next_key);
    refused(&["does not belong to", "cert.pem", "key.pem", "made together"]);
    put("nothing", &key);
    refused(&["cert.pem", "no certificate"]);
    put(&cert, &cert);
    refused(&["key.pem", "no private key"]);
    put(&cert, &key);
    set_password(&lab, &[], PASSWORD);
    lab.launch(&[]);
    let url = format!("https://localhost:{port}");
    let (agent, next) = (trusting(&cert), trusting(&next_cert));
    lab.wait("HTTPS", |_| {
        agent.get(format!("{url}/login")).call().is_ok_and(|got| got.status() == 200)
    });
    let signed_in = agent.post(format!("{url}/login")).send_form([("password", PASSWORD)]).unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-sealbox_") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(raw(port, b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").is_none(), "no plain HTTP");
    lab.json(&["sectors"]);
    assert!(next.get(format!("{url}/login")).call().is_err());
    fs::write(lab.path("cert.pem"), &next_cert).unwrap();
    lab.signal("-HUP");
    lab.wait("the refusal", |lab| lab.messages().contains("does not belong to"));
    assert!(
        trusting(&cert).get(format!("{url}/login")).call().is_ok(),
        "a bad pair changes nothing"
    );
    fs::write(lab.path("key.pem"), &next_key).unwrap();
    lab.signal("-HUP");
    lab.wait("the new certificate", |_| next.get(format!("{url}/login")).call().is_ok());
}
