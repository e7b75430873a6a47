//! Who is asked by the real box, who is let in, and behind which certificate.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use support::http::{all_words, form, parse, passwd, raw, resident_kib, send, set_password};
use support::{Lab, text};

const PASSWORD: &str = "correct horse";

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn status(lab: &Lab, authorization: &str) -> u16 {
    send(lab, "GET", "/api/v1/status", &[("authorization", authorization)], "").status
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
fn what_hashing_passwords_takes_does_not_grow_with_how_many_sign_in() {
    // 19 MiB in use at a time, and what else a box takes in its first moments.
    const KEPT_KIB: u64 = 96 * 1024;
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
    assert!(grown < KEPT_KIB, "it has grown by {grown} KiB");
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
    let left = fs::read_to_string(lab.path("sealbox-data/cli.pem")).unwrap();
    assert_eq!(left.trim(), cert.replace("\r\n", "\n").trim());
    assert!(next.get(format!("{url}/login")).call().is_err());
    fs::write(lab.path("cert.pem"), &next_cert).unwrap();
    lab.json(&["sectors"]);
    lab.signal("-HUP");
    lab.wait("the refusal", |lab| lab.messages().contains("does not belong to"));
    assert!(
        trusting(&cert).get(format!("{url}/login")).call().is_ok(),
        "a bad pair changes nothing"
    );
    fs::write(lab.path("key.pem"), &next_key).unwrap();
    // The box shows the old certificate to who asks it to take the new one.
    lab.json(&["reload"]);
    lab.wait("the new certificate", |_| next.get(format!("{url}/login")).call().is_ok());
    lab.json(&["sectors"]);
    let left = fs::read_to_string(lab.path("sealbox-data/cli.pem")).unwrap();
    assert_eq!(left.trim(), next_cert.replace("\r\n", "\n").trim());
    fs::remove_file(lab.path("sealbox-data/cli.pem")).unwrap();
    lab.json(&["sectors"]);
    // With nothing to know the box by: a stranger could have its port.
    fs::write(lab.path("cert.pem"), &cert).unwrap();
    let unknown = text(&lab.cli(&["sectors"]).stderr);
    assert!(unknown.contains("does not prove who it is"), "{unknown}");
}
