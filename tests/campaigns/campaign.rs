//! A box under a campaign: it is used as people and scripts use it, and all that it has answered is
//! held against its history.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use sealbox::domain::layout::Scratch;
use serde_json::{Value, json};

use crate::support::ledger::{Ledger, Past};
use crate::support::{self, Lab};

/// Sectors under way beyond which nothing more is ordered.
const ENOUGH_WORK: usize = 16;
/// Sectors ordered in one cycle: the history is read as a whole after each.
const ORDERED_AT_ONCE: u64 = 4;
/// How long the box gets to finish what is left when the campaign is over.
const LAST_WORK: Duration = Duration::from_secs(600);
/// Longer than any commit takes, unless the disk is full; then the answer is not waited for.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// Where the box has its directories.
pub struct Places {
    pub data: PathBuf,
    pub scratch: PathBuf,
    pub storage: PathBuf,
}

impl Places {
    pub fn in_lab(lab: &Lab) -> Self {
        Self::below(lab.dir.path())
    }

    pub fn below(dir: &Path) -> Self {
        let [data, scratch, storage] = ["data", "scratch", "storage"].map(|name| dir.join(name));
        Self { data, scratch, storage }
    }
}

/// A box, what it acknowledged, and the next random moment.
pub struct Campaign {
    name: String,
    pub cycles: u64,
    pub lab: Lab,
    pub places: Places,
    pub random: Random,
    ledger: Ledger,
    agent: ureq::Agent,
    unfinished: Vec<u64>,
    next_number: u64,
    ordered: u64,
    /// Answers that come from now on could not have come.
    pub no_more_answers: Arc<AtomicBool>,
    pub late_answers: Cell<u64>,
    begun: Instant,
}

impl Campaign {
    pub fn new(name: &str, cycles: u64, places: impl FnOnce(&Lab) -> Places) -> Self {
        let number = |key: &str| std::env::var(key).ok().and_then(|text| text.parse().ok());
        let cycles = number("CAMPAIGN_CYCLES").unwrap_or(cycles);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = number("CAMPAIGN_SEED").unwrap_or(since.as_secs());
        println!("{name}: {cycles} cycles, CAMPAIGN_SEED={seed}");
        let lab = Lab::with("");
        let agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER_LIMIT)).build();
        Self {
            name: name.to_owned(),
            cycles,
            places: places(&lab),
            lab,
            random: Random(seed),
            ledger: Ledger::default(),
            agent: agent.into(),
            unfinished: Vec::new(),
            next_number: 0,
            ordered: 0,
            no_more_answers: Arc::default(),
            late_answers: Cell::new(0),
            begun: Instant::now(),
        }
    }

    /// Phases of other lengths each time, and now and then one that fails.
    pub fn configure(&mut self) {
        let Places { data, scratch, storage } = &self.places;
        let mut text = format!(
            "auto_pledge = 0\ndata_dir = {data:?}\nscratch = {scratch:?}\n\
             [[storage]]\npath = {storage:?}\n\
             [[worker]]\nnum = 2\nsupported_phase = [\"P1\", \"P2\", \"P3\"]\n\
             [[worker]]\nnum = 2\nsupported_phase = [\"P4\"]\n\
             [[worker]]\nnum = 2\nsupported_phase = [\"P5\", \"P6\"]\n\
             [engine]\nkind = \"simulated\"\n[chain.lab]\nepoch_ms = 20\nchallenge_delay = 2\n\
             [simulated]\n"
        );
        for phase in 1..=6 {
            text.push_str(&format!("p{phase}_ms = {}\n", 1 + self.random.below(50)));
        }
        if self.random.below(3) == 0 {
            let sector = match self.unfinished.len() as u64 {
                0 => self.next_number,
                several => self.unfinished[self.random.below(several) as usize],
            };
            let class = ["transient", "operator"][self.random.below(2) as usize];
            let phase = 1 + self.random.below(6);
            text.push_str(&format!(
                "[[simulated.failure]]\nsector = {sector}\nphase = \"P{phase}\"\nclass = \"{class}\"\n"
            ));
        }
        self.lab.configure(&text);
    }

    /// Starts the box and uses it until the disaster, which picks its own moment, is over and the
    /// process is dead. That may be before it answers for the first time.
    pub fn live_until(&mut self, disaster: impl FnOnce() + Send) {
        self.no_more_answers.store(false, Ordering::SeqCst);
        self.lab.launch(&[]);
        let pid = i32::try_from(self.lab.pid()).ok().and_then(Pid::from_raw).expect("a process");
        std::thread::scope(|scope| {
            let end = scope.spawn(move || {
                disaster();
                kill_process(pid, Signal::KILL).expect("it runs until it is killed");
            });
            while !end.is_finished() {
                self.use_it();
            }
        });
        self.lab.kill();
    }

    pub fn work_for_a_moment(&mut self) {
        let begun = Instant::now();
        let wait = self.random.up_to(500);
        while begun.elapsed() < wait {
            self.use_it();
        }
    }

    /// Does one of the things that people and scripts do, and notes what is answered.
    fn use_it(&mut self) {
        sleep(self.random.up_to(15));
        match self.random.below(10) {
            0..=2 if self.ordered < ORDERED_AT_ONCE && self.unfinished.len() < ENOUGH_WORK => {
                let count = 1 + self.random.below(3);
                if let Some(answer) = self.post("/api/v1/orders", &json!({ "count": count })) {
                    self.ordered += count;
                    self.ledger.ordered(&answer);
                }
            }
            3 => self.retry_all(),
            4 => {
                let pause = self.random.below(3) == 0;
                self.intake(pause);
            }
            5 if self.random.below(10) == 0 => {
                if let Some(number) = self.any_unfinished()
                    && self.post(&format!("/api/v1/sectors/{number}/abort"), &json!({})).is_some()
                {
                    self.ledger.aborted(number);
                }
            }
            _ => {
                let number = self.any_unfinished().unwrap_or(self.next_number);
                if let Some(sector) = self.get(&format!("/api/v1/sectors/{number}")) {
                    self.ledger.saw(number, &sector);
                }
            }
        }
    }

    fn retry_all(&mut self) {
        if let Some(answer) = self.post("/api/v1/retry", &json!({})) {
            self.ledger.retried(&answer);
        }
    }

    fn intake(&mut self, pause: bool) {
        // Unanswered, it may have been done or not.
        self.ledger.intake(None);
        let wish = if pause { "pause" } else { "resume" };
        if self.post(&format!("/api/v1/intake/{wish}"), &json!({})).is_some() {
            self.ledger.intake(Some(pause));
        }
    }

    fn any_unfinished(&mut self) -> Option<u64> {
        let several = self.unfinished.len() as u64;
        (several > 0).then(|| self.unfinished[self.random.below(several) as usize])
    }

    /// The answer, if the box gave one in time and it was not a refusal.
    fn post(&self, path: &str, body: &Value) -> Option<Value> {
        let mut answer = self.agent.post(self.lab.url(path)).send_json(body).ok()?;
        self.in_time(answer.body_mut().read_json().ok())
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut answer = self.agent.get(self.lab.url(path)).call().ok()?;
        self.in_time(answer.body_mut().read_json().ok())
    }

    fn in_time(&self, answer: Option<Value>) -> Option<Value> {
        if !self.no_more_answers.load(Ordering::SeqCst) {
            return answer;
        }
        self.late_answers.set(self.late_answers.get() + u64::from(answer.is_some()));
        None
    }

    /// The files are as the history has it, while no box runs.
    pub fn check_what_is_on_disk(&self) {
        let past = Past::read(&self.places.data);
        let missing = past.missing(&Scratch::new(&self.places.scratch));
        assert!(missing.is_empty(), "{}: {missing:#?}", self.name);
    }

    pub fn restart(&mut self) {
        self.no_more_answers.store(false, Ordering::SeqCst);
        self.lab.launch(&[]);
        self.lab.wait_until_it_answers();
    }

    /// What was acknowledged is in the history, and the box shows every sector that is there.
    pub fn check_history(&mut self) {
        let past = Past::read(&self.places.data);
        let lost = self.ledger.lost(&past);
        assert!(lost.is_empty(), "{}: LOST: {lost:#?}", self.name);
        let shown = self.shown();
        let hidden: Vec<_> = past.sectors.keys().filter(|number| !shown.contains(number)).collect();
        assert!(hidden.is_empty(), "{}: not shown: {hidden:?}", self.name);
        self.unfinished = past.unfinished();
        self.next_number = past.box_state.next_number;
        self.ordered = 0;
    }

    /// The numbers of all sectors that the API lists.
    fn shown(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.lab.get(&format!("/api/v1/sectors?limit=500{after}"));
            let rows = page["sectors"].as_array().expect("sectors");
            numbers.extend(rows.iter().filter_map(|row| row["number"].as_u64()));
            match page["next"].as_u64() {
                Some(next) => after = format!("&after={next}"),
                None => return numbers,
            }
        }
    }

    /// Lets the box finish everything, stops it, and looks at it all once more. `expected` is what
    /// failures may say.
    pub fn finish(mut self, expected: &[&str]) {
        self.restart();
        self.intake(false);
        let begun = Instant::now();
        let past = loop {
            self.retry_all();
            let past = Past::read(&self.places.data);
            if past.is_all_done() {
                break past;
            }
            let late = || format!("{}: unfinished: {:?}", self.name, past.unfinished());
            assert!(begun.elapsed() < LAST_WORK, "{}", late());
            sleep(Duration::from_millis(500));
        };
        self.check_history();
        self.lab.signal("-TERM");
        assert_eq!(self.lab.wait_for_end(), Some(0), "{}", self.lab.messages());
        self.check_what_is_on_disk();
        let verified = self.lab.json(&["journal", "verify"]);
        assert_eq!(verified["entries"], past.entries.len(), "{verified}");
        let left = support::left_on(&self.places.scratch);
        assert!(left.is_empty(), "left on scratch: {left:?}");
        let mut wrong = self.ledger.unfulfilled(&past);
        wrong.extend(past.failures_but(expected));
        wrong.extend(past.labelled_twice());
        wrong.extend(bugs_in_logs(&self.places.data.join("logs")));
        assert!(wrong.is_empty(), "{}: {wrong:#?}", self.name);
        println!(
            "{}: {} cycles in {} s; {} sectors, {} history entries, {} attempts failed; {} commands acknowledged and \
             {} history entries shown, looked for {} times: 0 lost; every sector finished or was \
             aborted by a command, none was labelled twice",
            self.name,
            self.cycles,
            self.begun.elapsed().as_secs(),
            past.sectors.len(),
            past.entries.len(),
            past.failures_but(&[]).len(),
            self.ledger.acknowledged(),
            self.ledger.shown(),
            self.ledger.checked,
        );
    }
}

/// What only a fault of the program itself makes it log.
fn bugs_in_logs(dir: &Path) -> Vec<String> {
    let read = |file| fs::read_to_string(dir.join(file)).unwrap_or_default();
    let is_bug =
        |line: &&str| ["bug:", "not recorded", "panicked"].iter().any(|b| line.contains(b));
    let logs = support::files(dir).into_iter().map(read);
    logs.flat_map(|log| log.lines().filter(is_bug).map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// splitmix64: a seed gives the same numbers everywhere.
pub struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn up_to(&mut self, ms: u64) -> Duration {
        Duration::from_micros(self.below(ms * 1_000))
    }
}
