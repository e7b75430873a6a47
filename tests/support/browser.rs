//! A real browser, headless, by WebDriver: what a person sees and presses.
//!
//! The few commands of the protocol that are needed are written here: the crates that speak all of it
//! turn on features of ours and of the proofs' dependencies, and tests would run another program.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{LOOK_EVERY, PATIENCE};

const AXE: &str = include_str!("../vendor/axe.min.js");
/// Of an answer.
const MOST_BYTES: u64 = 64 << 20;
const ARGUMENTS: [&str; 9] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
];

/// Browsers take all of a small machine: one at a time.
static ONE: Mutex<()> = Mutex::new(());

/// By this name the protocol gives out elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

pub struct Browser {
    chromedriver: Child,
    /// Of the session, as in `http://127.0.0.1:41827/session/0af1`.
    session: String,
    _profile: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// What the protocol answers instead of a value.
type Refusal = String;

impl Browser {
    pub fn open(url: &str) -> Self {
        let alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = tempfile::tempdir().expect("a directory for its profile");
        let (chromedriver, port) = chromedriver();
        let mut arguments: Vec<String> = ARGUMENTS.map(str::to_owned).to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        let wishes = json!({ "goog:chromeOptions": { "args": arguments } });
        let server = format!("http://127.0.0.1:{port}/session");
        let begun = ask(&server, &json!({ "capabilities": { "alwaysMatch": wishes } }));
        let begun = begun.expect("Chromium starts");
        let session = format!("{server}/{}", begun["sessionId"].as_str().expect("a session"));
        let browser = Self { chromedriver, session, _profile: profile, _alone: alone };
        browser.resize(1400, 1000);
        browser.go(url);
        browser
    }

    fn ask(&self, command: &str, body: &Value) -> Result<Value, Refusal> {
        ask(&format!("{}/{command}", self.session), body)
    }

    pub fn go(&self, url: &str) {
        self.ask("url", &json!({ "url": url })).expect("the page opens");
    }

    pub fn resize(&self, width: u32, height: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false
        });
        self.chromium("Emulation.setDeviceMetricsOverride", size);
    }

    /// What the system prefers: `light` or `dark`.
    pub fn prefer(&self, scheme: &str) {
        let feature = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.chromium("Emulation.setEmulatedMedia", json!({ "features": feature }));
    }

    /// The pages' own scripts no longer run; those of the tests do.
    pub fn turn_scripts_off(&self) {
        self.chromium("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    }

    pub fn clear_cache(&self) {
        self.chromium("Network.clearBrowserCache", json!({}));
    }

    fn chromium(&self, method: &str, parameters: Value) {
        let done = self.ask("goog/cdp/execute", &json!({ "cmd": method, "params": parameters }));
        done.unwrap_or_else(|error| panic!("{method}: {error}"));
    }

    /// What is seen in the window now, as a PNG.
    pub fn picture(&self, path: &std::path::Path) {
        let shown = self.ask("goog/cdp/execute", &json!({
            "cmd": "Page.captureScreenshot", "params": { "format": "png", "optimizeForSpeed": false }
        }));
        let shown = shown.expect("a picture")["data"].as_str().expect("base64").to_owned();
        let bytes = unbase64(&shown);
        std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// The value of `return …`.
    pub fn js<T: DeserializeOwned>(&self, script: &str) -> T {
        self.try_js(script).unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    fn try_js<T: DeserializeOwned>(&self, script: &str) -> Result<T, Refusal> {
        let value = self.ask("execute/sync", &json!({ "script": script, "args": [] }))?;
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// Waits until the expression is true, over page loads.
    pub fn wait(&self, what: &str, condition: &str) {
        let begun = Instant::now();
        while !self.try_js::<bool>(&format!("return !!({condition})")).unwrap_or(false) {
            assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}\n{}", self.text());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    pub fn wait_for_text(&self, text: &str) {
        let text_as_js = Value::from(text);
        self.wait(text, &format!("document.body.innerText.includes({text_as_js})"));
    }

    /// What a person reads.
    pub fn text(&self) -> String {
        self.try_js("return document.body.innerText").unwrap_or_default()
    }

    /// Presses the first button (or what opens a question) with these words, as soon as there is one
    /// that can be pressed.
    pub fn press(&self, words: &str) {
        let path = format!(
            "(//button|//summary|//a[contains(@class, 'button')])[normalize-space() = '{words}']"
        );
        let begun = Instant::now();
        while !self.try_press(&path) {
            assert!(begun.elapsed() < PATIENCE, "no button “{words}”:\n{}", self.text());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// A live page may take the element away between any two of these.
    fn try_press(&self, path: &str) -> bool {
        self.find("xpath", path).iter().any(|element| {
            let can_be = |what: &str| self.get(&format!("element/{element}/{what}")) == json!(true);
            can_be("displayed")
                && can_be("enabled")
                && self.ask(&format!("element/{element}/click"), &json!({})).is_ok()
        })
    }

    fn find(&self, using: &str, value: &str) -> Vec<String> {
        let found = self.ask("elements", &json!({ "using": using, "value": value }));
        let found = found.ok().and_then(|found| found.as_array().cloned()).unwrap_or_default();
        found.iter().filter_map(|one| Some(one[ELEMENT].as_str()?.to_owned())).collect()
    }

    fn get(&self, what: &str) -> Value {
        let answer = ureq::get(format!("{}/{what}", self.session)).call();
        let answer = answer.ok().and_then(|mut answer| answer.body_mut().read_json::<Value>().ok());
        answer.map_or(Value::Null, |answer| answer["value"].clone())
    }

    pub fn fill(&self, selector: &str, text: &str) {
        let found = self.find("css selector", selector);
        let field = found.first().unwrap_or_else(|| panic!("no {selector}:\n{}", self.text()));
        self.ask(&format!("element/{field}/clear"), &json!({})).expect("it can be emptied");
        let typed = self.ask(&format!("element/{field}/value"), &json!({ "text": text }));
        typed.expect("it can be typed into");
    }

    /// What axe-core finds wrong with the page as it is shown, one line each.
    pub fn barriers(&self) -> Vec<String> {
        if !self.js::<bool>("return 'axe' in window") {
            self.js::<Value>(&format!("{AXE}; return null"));
        }
        let script = "
            const [done] = arguments;
            axe.run().then(found => done(found.violations.flatMap(one =>
                one.nodes.map(node => `${one.id}: ${one.help}: ${node.html.slice(0, 200)}`))));";
        let found = self.ask("execute/async", &json!({ "script": script, "args": [] }));
        serde_json::from_value(found.expect("axe runs")).expect("a list of lines")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(ureq::delete(&self.session).call());
        drop(self.chromedriver.kill());
        drop(self.chromedriver.wait());
    }
}

fn ask(url: &str, body: &Value) -> Result<Value, Refusal> {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let mut answer = agent.post(url).send_json(body).map_err(|error| error.to_string())?;
    let value = answer.body_mut().with_config().limit(MOST_BYTES).read_json::<Value>();
    let value = value.map_err(|error| error.to_string())?["value"].take();
    if answer.status().is_success() {
        Ok(value)
    } else {
        Err(value["message"].as_str().unwrap_or("no reason given").to_owned())
    }
}

/// It says on which port it listens.
fn chromedriver() -> (Child, u16) {
    let child = Command::new("chromedriver")
        .args(["--port=0", "--log-level=WARNING"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.expect("chromedriver starts (Debian's package chromium-driver)");
    let said = BufReader::new(child.stdout.take().expect("its standard output"));
    let port = said.lines().map_while(Result::ok).find_map(|line| {
        let port = line.strip_suffix('.')?.rsplit_once("successfully on port ")?.1;
        port.parse().ok()
    });
    (child, port.expect("chromedriver says where it listens"))
}

/// The protocol's pictures come as text, and no crate of the tests' reads it.
fn unbase64(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u8> = text
        .bytes()
        .filter_map(|letter| LETTERS.iter().position(|known| *known == letter))
        .filter_map(|digit| u8::try_from(digit).ok())
        .collect();
    let whole = digits.chunks(4).flat_map(|four| {
        let bits = four.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit));
        let bits = bits << (6 * (4 - four.len()));
        bits.to_be_bytes()[1..four.len()].to_vec()
    });
    whole.collect()
}
