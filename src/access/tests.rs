//! Who is let in, and who is not any more.

use std::net::SocketAddr;

use super::*;
use crate::access::secret::PasswordKept;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn loopback() -> SocketAddr {
    "127.0.0.1:3456".parse().unwrap()
}

fn change(data_dir: &Path, with: impl FnOnce(&mut Kept)) {
    kept::change::<(), AccessError>(data_dir, |kept| {
        with(kept);
        Ok(())
    })
    .unwrap();
}

fn set_password(data_dir: &Path, role: Role, password: &str) {
    let hashed = PasswordKept::of(password).unwrap();
    change(data_dir, |kept| kept.set_password(role, hashed));
}

fn add_token(data_dir: &Path, name: &str, role: Role, expires: Option<Timestamp>) -> Secret {
    let secret = Secret::draw();
    let (name, digest) = (name.to_owned(), secret.digest());
    change(data_dir, |kept| {
        kept.tokens.push(Token { name, role, digest, created: NOW, expires });
    });
    secret
}

fn with_session(secret: &Secret) -> Claim<'_> {
    Claim { bearer: None, session: Some(secret.shown()) }
}

fn with_token(secret: &Secret) -> Claim<'_> {
    Claim { bearer: Some(secret.shown()), session: None }
}

#[test]
fn without_a_password_loopback_is_open_and_every_other_address_refused() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path(), loopback()).unwrap();
    assert_eq!(access.caller(Claim::default(), NOW).unwrap().role, Role::Operator);
    for address in ["0.0.0.0:3456", "[::]:3456", "10.0.0.1:1", "[2001:db8::1]:1"] {
        let refused = Access::open(dir.path(), address.parse().unwrap()).unwrap_err().to_string();
        assert!(refused.contains(address) && refused.contains("sealbox passwd"), "{refused}");
    }
    set_password(dir.path(), Role::Operator, "correct horse");
    assert!(Access::open(dir.path(), "0.0.0.0:3456".parse().unwrap()).is_ok());
}

#[test]
fn a_password_that_is_set_is_asked_for_with_the_next_request() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path(), loopback()).unwrap();
    set_password(dir.path(), Role::Operator, "correct horse");
    assert_eq!(access.caller(Claim::default(), NOW), Err(Denied::SignIn));
    assert_eq!(access.sign_in("correct horsf", NOW).unwrap(), None);
    assert_eq!(access.sign_in("", NOW).unwrap(), None);
    let (role, session) = access.sign_in("correct horse", NOW).unwrap().unwrap();
    assert_eq!(role, Role::Operator);
    let caller = Caller { role, shown: Shown::Session };
    assert_eq!(access.caller(with_session(&session), NOW), Ok(caller));
}

#[test]
fn a_session_outlives_a_restart_and_ends_by_time_by_sign_out_and_by_another_password() {
    let dir = tempfile::tempdir().unwrap();
    set_password(dir.path(), Role::Operator, "correct horse");
    set_password(dir.path(), Role::Viewer, "wall display");
    let open = || Access::open(dir.path(), loopback()).unwrap();
    let sign_in = |password| open().sign_in(password, NOW).unwrap().unwrap().1;
    let (one, two) = (sign_in("correct horse"), sign_in("correct horse"));
    let display = sign_in("wall display");
    let access = open();
    let role = |secret, at| access.caller(with_session(secret), at).map(|caller| caller.role);
    assert_eq!(role(&display, NOW), Ok(Role::Viewer));
    assert_eq!(role(&one, NOW.plus(7 * 24 * HOUR - HOUR)), Ok(Role::Operator));
    assert_eq!(role(&one, NOW.plus(7 * 24 * HOUR)), Err(Denied::SignIn));
    access.sign_out(one.shown()).unwrap();
    assert_eq!(role(&one, NOW), Err(Denied::SignIn));
    assert_eq!(role(&two, NOW), Ok(Role::Operator), "the other one goes on");
    assert_eq!(open().caller(with_session(&one), NOW), Err(Denied::SignIn), "after a restart too");
    set_password(dir.path(), Role::Operator, "another horse");
    assert_eq!(role(&two, NOW), Err(Denied::SignIn));
    assert_eq!(role(&display, NOW), Ok(Role::Viewer), "its password is the same");
}

#[test]
fn a_token_is_good_until_it_expires_or_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path(), loopback()).unwrap();
    let lasting = add_token(dir.path(), "ci", Role::Operator, None);
    let brief = add_token(dir.path(), "grafana", Role::Metrics, Some(NOW.plus(HOUR)));
    let ci = Caller { role: Role::Operator, shown: Shown::Token("ci".into()) };
    assert_eq!(access.caller(with_token(&lasting), NOW), Ok(ci));
    assert_eq!(access.caller(with_token(&brief), NOW).unwrap().role, Role::Metrics);
    let over = Denied::Expired { name: "grafana".into() };
    assert_eq!(access.caller(with_token(&brief), NOW.plus(HOUR)), Err(over));
    change(dir.path(), |kept| kept.tokens.retain(|token| token.name != "ci"));
    assert_eq!(access.caller(with_token(&lasting), NOW), Err(Denied::WrongToken));
    let forged = Claim { bearer: Some(""), session: None };
    assert_eq!(access.caller(forged, NOW), Err(Denied::WrongToken), "though the box is open");
}

#[test]
fn the_command_line_beside_the_box_shows_what_the_last_start_has_left() {
    let dir = tempfile::tempdir().unwrap();
    set_password(dir.path(), Role::Operator, "correct horse");
    let access = Access::open(dir.path(), loopback()).unwrap();
    access.leave_local_secret().unwrap();
    let left = fs::read_to_string(local_secret(dir.path())).unwrap();
    let claim = Claim { bearer: Some(&left), session: None };
    assert_eq!(access.caller(claim, NOW).unwrap().shown, Shown::Local);
    let next = Access::open(dir.path(), loopback()).unwrap();
    next.leave_local_secret().unwrap();
    assert_eq!(next.caller(claim, NOW), Err(Denied::WrongToken));
}

#[test]
fn no_damage_to_the_file_opens_a_box_that_asks() {
    let dir = tempfile::tempdir().unwrap();
    set_password(dir.path(), Role::Operator, "correct horse");
    let access = Access::open(dir.path(), loopback()).unwrap();
    let file = kept::path(dir.path());
    for damage in [
        "",
        "{",
        "null",
        "{\"v\":2,\"passwords\":{},\"tokens\":[]}",
        "{\"v\":1,\"passwords\":{\"operator\":\"plain\"},\"tokens\":[]}",
    ] {
        fs::write(&file, damage).unwrap();
        assert_eq!(access.caller(Claim::default(), NOW), Err(Denied::SignIn), "{damage}");
        let refused = Access::open(dir.path(), loopback()).unwrap_err();
        assert!(matches!(refused, AccessError::Damaged { .. }), "{damage}: {refused}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(access.caller(Claim::default(), NOW), Err(Denied::SignIn), "gone");
    assert!(access.sign_in("correct horse", NOW).unwrap().is_some(), "the last one holds");
}

#[test]
fn nothing_that_is_kept_is_a_secret_and_nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    set_password(dir.path(), Role::Operator, "correct horse");
    let token = add_token(dir.path(), "ci", Role::Operator, None);
    let access = Access::open(dir.path(), loopback()).unwrap();
    let (_, session) = access.sign_in("correct horse", NOW).unwrap().unwrap();
    access.leave_local_secret().unwrap();
    for name in ["access.json", "sessions.json", "cli.token"] {
        let path = dir.path().join(name);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
        let text = fs::read_to_string(&path).unwrap();
        for secret in ["correct horse", token.shown(), session.shown()] {
            assert!(!text.contains(secret), "{name}");
        }
    }
    assert!(!format!("{token:?}").contains(token.shown()));
}

#[test]
fn a_password_that_is_too_short_too_long_or_no_text_is_not_taken() {
    for bad in ["", "1234567", "tab\tin it", "nul\0 in it", &"x".repeat(257)] {
        assert!(PasswordKept::of(bad).is_err(), "{bad:?}");
    }
    let unicode = "пароль из слов";
    assert!(PasswordKept::of(unicode).unwrap().is_of(unicode));
}

#[test]
fn failures_are_counted_by_address_and_in_all() {
    let dir = tempfile::tempdir().unwrap();
    let access = Access::open(dir.path(), loopback()).unwrap();
    let addresses: Vec<IpAddr> = (0..2_000u32).map(|n| IpAddr::from(n.to_be_bytes())).collect();
    addresses.iter().for_each(|from| access.note_failed(*from, NOW));
    access.note_failed(addresses[7], NOW);
    let tally = access.failed.tally();
    assert_eq!((tally.in_all, tally.most.len()), (2_001, 5));
    assert_eq!(tally.most[0], (addresses[7], 2));
    assert_eq!(tally.last, Some((NOW, addresses[7])));
}
