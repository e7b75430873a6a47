//! Real seals: the box with the tests' parameters, and the check of what comes out of it.

use std::fs;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use filecoin_proofs_api::seal::verify_seal;
use filecoin_proofs_api::{RegisteredSealProof, SectorId};
use serde_json::Value;

use crate::support::{self, Lab};

/// Parameters, and then a SNARK, on a machine that may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120 * 60);

/// One SNARK at a time: each takes all cores and 2.5 GB. And the library, here and in the box,
/// looks for parameters where the tests keep them.
pub fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    static ENVIRONMENT: Once = Once::new();
    let guard = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    ENVIRONMENT.call_once(|| {
        fs::create_dir_all(support::parameters()).expect("a place for the parameters");
        // SAFETY: the tests of a file run one at a time behind the lock, and no other thread
        // reads the environment while it is set.
        unsafe { std::env::set_var("FIL_PROOFS_PARAMETER_CACHE", support::parameters()) };
    });
    guard
}

fn bytes<const N: usize>(sector: &Value, field: &str) -> [u8; N] {
    let text = sector[field].as_str().unwrap_or_else(|| panic!("no {field} in {sector}"));
    hex::decode(text).expect("hex").try_into().expect("the right length")
}

/// Checks the seal as a third party would: from `sector N --json` and the library alone.
pub fn verifies(sector: &Value) -> bool {
    let kind = match sector["seal_proof"].as_str().expect("a seal proof") {
        "StackedDrg2KiBV1_1" => RegisteredSealProof::StackedDrg2KiBV1_1,
        "StackedDrg8MiBV1_1" => RegisteredSealProof::StackedDrg8MiBV1_1,
        "StackedDrg512MiBV1_1" => RegisteredSealProof::StackedDrg512MiBV1_1,
        other => panic!("{other} is not sealed by these tests"),
    };
    let number = sector["number"].as_u64().expect("a number");
    let proof = hex::decode(sector["proof"].as_str().expect("a proof")).expect("hex");
    assert_eq!(proof.len(), 192);
    verify_seal(
        kind,
        bytes(sector, "comm_r"),
        bytes(sector, "comm_d"),
        bytes(sector, "prover_id"),
        SectorId::from(number),
        bytes(sector, "ticket"),
        bytes(sector, "seed"),
        &proof,
    )
    .expect("the proof can be checked")
}

pub fn wait_until_finished(lab: &Lab, number: u64) -> Value {
    lab.wait_for(PATIENCE, "the sector is finished", |lab| {
        let sector = lab.sector(number);
        assert!(sector["attention"].is_null(), "it needs a person: {}", sector["attention"]);
        sector["state"] == "finished"
    });
    lab.json(&["sector", &number.to_string()])
}

/// Starts the box with the tests' parameters.
pub fn start(lab: &mut Lab) {
    let parameters = support::parameters();
    lab.launch(&[("FIL_PROOFS_PARAMETER_CACHE", parameters.to_str().expect("UTF-8"))]);
    lab.wait_until_it_answers();
}
