//! A simulated box whose configuration names one kind of PoRep after the other.

mod support;

use sealbox::domain::layout::{Scratch, dropped_with_p2};
use sealbox::domain::porep::{Porep, SealKind};
use sealbox::domain::units::SectorSize;
use serde_json::{Value, json};
use support::Lab;
use support::ledger::Past;

/// Every sector comes to P4, and there waits for a person.
const P4_FAILS: &str = "[[simulated.failure]]\nphase = \"P4\"\nclass = \"operator\"\n";

fn configuration(porep: Porep, sectors: usize, more: &str) -> String {
    format!(
        "auto_pledge = {sectors}\nporep = \"{porep}\"\n[engine]\nkind = \"simulated\"\n\
         {more}[chain.lab]\nepoch_ms = 5\nchallenge_delay = 2\n"
    )
}

fn happened(sector: &Value, event: &str) -> usize {
    let history = sector["history"].as_array().expect("a history");
    history.iter().filter(|line| line["event"] == event).count()
}

#[test]
fn a_sector_ends_as_the_kind_that_it_was_issued_as_whatever_the_box_is_told_since() {
    let mut lab = Lab::with("");
    for (number, porep) in (0..).zip(Porep::ALL) {
        lab.configure(&configuration(porep, number as usize + 1, P4_FAILS));
        lab.start();
        lab.wait("P4 fails", |lab| !lab.sector(number)["attention"].is_null());
        lab.kill();
    }
    let past = Past::read(&lab.path("sealbox-data"));
    let kinds: Vec<_> = past.sectors.values().map(|sector| sector.porep).collect();
    assert_eq!(kinds, Porep::ALL);
    let scratch = Scratch::new(lab.path("sealbox-data/scratch"));
    assert_eq!(past.missing(&scratch), Vec::<String>::new());
    let synthetic = SealKind::new(SectorSize::KiB2, Porep::Synthetic);
    for file in dropped_with_p2(synthetic) {
        let name = file.name(synthetic.size);
        let held = past.sectors.values().map(|s| scratch.cache_dir(s.id).join(&name).exists());
        assert_eq!(held.collect::<Vec<_>>(), [true, false, true], "{name}");
    }

    lab.configure(&configuration(Porep::Interactive, 3, ""));
    lab.start();
    for number in 0..3 {
        lab.post(&format!("/api/v1/sectors/{number}/retry"), &json!({})).expect("it is retried");
    }
    lab.wait("all are finished", |lab| {
        (0..3).all(|number| lab.sector(number)["state"] == "finished")
    });
    for (number, (drawn, deleted)) in (0..).zip([(1, 2), (1, 4 + 2), (0, 2)]) {
        let sector = lab.sector(number);
        assert_eq!(sector["porep"], json!(Porep::ALL[number as usize]));
        assert_eq!(happened(&sector, "seed drawn"), drawn, "{sector}");
        assert_eq!(happened(&sector, "pre-committed"), drawn);
        assert_eq!(happened(&sector, "deleted"), deleted, "{sector}");
        assert_eq!(happened(&sector, "committed"), 1);
    }
}
