//! What Prometheus reads, and that the dashboard and the rules ask for nothing else.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;

use super::site::{Site, ask};
use super::states::busy;

/// Every sample of an answer, by its name and labels.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name, value.parse().unwrap())
        })
        .collect()
}

#[test]
fn the_metrics_say_what_the_pages_say() {
    let mut site = busy();
    site.tweak = |view| view.paused.extend([crate::domain::phase::Phase::P2]);
    let answer = site.get("/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let found = samples(&answer.text);
    let view = site.view();
    for (phase, counts) in view.counts.phases.iter() {
        for (state, count) in
            [("queued", counts.queued), ("running", counts.running), ("failed", counts.failed)]
        {
            let name = format!("sealbox_tasks{{phase=\"{phase}\",state=\"{state}\"}}");
            assert_eq!(found[name.as_str()], count as f64, "{name}");
        }
    }
    assert_eq!(found["sealbox_sectors_in_flight"], view.counts.in_flight as f64);
    assert_eq!(found["sealbox_sectors_finished_total"], view.finished as f64);
    assert_eq!(found["sealbox_phase_paused{phase=\"P2\"}"], 1.0);
    assert_eq!(found["sealbox_phase_paused{phase=\"P3\"}"], 0.0);
    assert!(found["process_resident_memory_bytes"] > 0.0);
    let scratch = "{role=\"scratch\",path=\"/sealer\"}";
    let size = found[format!("sealbox_disk_size_bytes{scratch}").as_str()];
    assert_eq!(size, site.disks[0].total_bytes as f64);
}

#[test]
fn a_task_that_waits_ages_until_it_is_started() {
    use crate::domain::phase::Phase;
    let mut site = Site::empty();
    site.order(1).before(0, Phase::P1).later(60);
    let age = |site: &Site| {
        let text = site.get("/metrics").text;
        samples(&text)["sealbox_queue_age_seconds{phase=\"P1\"}"]
    };
    assert!(age(&site) >= 60.0);
    site.start(0, Phase::P1);
    assert_eq!(age(&site), 0.0);
}

#[test]
fn who_speaks_open_metrics_gets_it_with_its_end() {
    let site = Site::empty();
    let request = ask("GET", "/metrics")
        .header("accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1");
    let answer = site.send(request.body(Body::empty()).unwrap());
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    assert!(answer.text.ends_with("# EOF\n"));
    assert!(answer.text.contains("# TYPE sealbox_attempts counter\n"), "{}", answer.text);
    let older = site.get("/metrics").text;
    assert!(older.contains("# TYPE sealbox_attempts_total counter\n"), "{older}");
    assert!(!older.contains("# EOF") && !older.contains("# UNIT"), "{older}");
}

#[test]
fn every_metric_is_described_once() {
    let text = busy().get("/metrics").text;
    let described = |what: &str| {
        let lines = text.lines().filter_map(|line| line.strip_prefix(what));
        lines.map(|line| line.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (helps, types) = (described("# HELP "), described("# TYPE "));
    assert_eq!(helps, types);
    assert_eq!(helps.iter().collect::<BTreeSet<_>>().len(), helps.len());
}

/// Names of metrics in an expression: words that begin as ours do.
fn named(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("sealbox_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_dashboard_and_the_rules_ask_only_for_what_there_is() {
    let mut site = busy();
    site.limit = Some(4);
    site.tweak = super::disks::finishes_steadily;
    let text = site.get("/metrics").text;
    let there_is: BTreeSet<&str> =
        samples(&text).into_keys().map(|name| name.split('{').next().unwrap()).collect();
    for file in ["packaging/grafana/sealbox.json", "packaging/prometheus/alerts.yaml"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let asked = named(&std::fs::read_to_string(path).unwrap());
        assert!(asked.len() > 5, "{file}: {asked:?}");
        let missing: Vec<_> =
            asked.iter().filter(|name| !there_is.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}");
    }
}
