//! Real 2 KiB sectors of the other kinds of PoRep. Milliseconds up to C1; those with SNARKs need the
//! parameters.

use std::fs;
use std::time::Instant;

use filecoin_proofs_api::RegisteredAggregationProof;
use filecoin_proofs_api::seal::{
    SealCommitPhase1Output, SealCommitPhase2Output, VanillaSealProof, aggregate_seal_commit_proofs,
};

use super::outputs::{self, Binding};
use super::real_sector::{Bench, bench, bench_of, seed, spoil, truncate};
use super::{FilecoinEngine, Hooks, prove, registered, replicate, stored};
use crate::domain::failure::Class;
use crate::domain::ids::SealProof;
use crate::domain::layout::{CacheFile, cache_files, dropped_with_p2};
use crate::domain::porep::Porep;
use crate::engine::{Engine, SealStatement};

impl Bench {
    /// What the caller of P2 does with what it may drop.
    fn drop_what_is_answered(&self) {
        for file in dropped_with_p2(self.job.kind()) {
            fs::remove_file(self.cached(&file.name(self.job.size))).unwrap();
        }
    }

    fn answers(&self) -> std::path::PathBuf {
        self.cached(&CacheFile::SyntheticProofs.name(self.job.size))
    }

    fn vanilla_proofs(&self) -> SealCommitPhase1Output {
        let binding = Binding::of(&self.job, &self.ticket);
        outputs::look_up(&self.job.cache, outputs::C1, &binding).unwrap()
    }

    /// How many challenges the vanilla proofs on disk answer, by partition.
    fn answered(&self) -> Vec<usize> {
        match self.vanilla_proofs().vanilla_proofs {
            VanillaSealProof::StackedDrg2KiBV1(parts) => parts.iter().map(Vec::len).collect(),
            _ => panic!("another size"),
        }
    }
}

#[test]
fn a_synthetic_sector_answers_any_seed_without_its_layers_and_trees() {
    let bench = bench_of(Porep::Synthetic, 21);
    bench.label();
    let commitments = bench.replicate();
    for file in cache_files(bench.job.kind()) {
        let found = fs::metadata(bench.cached(&file.name(bench.job.size))).unwrap().len();
        assert_eq!(file.bytes(bench.job.size).unwrap_or(found), found, "{file:?}");
    }
    bench.drop_what_is_answered();
    for byte in [9, 8] {
        let statement = SealStatement { seed: Some(seed(byte)), ..bench.statement(commitments) };
        prove::prove_vanilla(&bench.job, &statement).unwrap();
        assert_eq!(bench.answered(), [2]);
    }
    let (_dir, copy) = bench.stored_copy();
    stored::prove(&copy, &commitments.comm_r).unwrap();
}

#[test]
fn p2_that_died_while_it_dropped_goes_on_from_what_stands_for_the_layers() {
    let bench = bench_of(Porep::Synthetic, 22);
    bench.label();
    let commitments = bench.replicate();
    for file in dropped_with_p2(bench.job.kind()) {
        fs::remove_file(bench.cached(&file.name(bench.job.size))).unwrap();
        assert_eq!(bench.replicate(), commitments);
    }
}

#[test]
fn answers_that_died_unrecorded_are_made_again_from_the_layers() {
    let bench = bench_of(Porep::Synthetic, 23);
    bench.label();
    let commitments = bench.replicate();
    fs::remove_file(bench.cached(outputs::P2)).unwrap();
    truncate(&bench.answers());
    assert_eq!(bench.replicate(), commitments);
    bench.drop_what_is_answered();
    prove::prove_vanilla(&bench.job, &bench.statement(commitments)).unwrap();
}

#[test]
fn spoilt_answers_are_made_again_from_the_layers_or_from_p1_where_those_are_dropped() {
    let bench = bench_of(Porep::Synthetic, 24);
    bench.label();
    let commitments = bench.replicate();
    for inflict in [spoil, truncate] {
        inflict(&bench.answers());
        let failure = replicate::replicate(&bench.job, &bench.ticket).unwrap_err();
        assert_eq!(failure.class, Class::Sector, "{failure:?}");
        assert_eq!(bench.replicate(), commitments, "the layers are still there");
    }
    bench.drop_what_is_answered();
    spoil(&bench.answers());
    for _ in 0..2 {
        let failure = replicate::replicate(&bench.job, &bench.ticket).unwrap_err();
        assert_eq!(failure.class, Class::Sector, "{failure:?}");
    }
    bench.label();
    assert!(!bench.answers().exists());
    assert_eq!(bench.replicate(), commitments);
    bench.drop_what_is_answered();
    prove::prove_vanilla(&bench.job, &bench.statement(commitments)).unwrap();
}

#[test]
fn a_non_interactive_sector_is_challenged_by_itself_thirteen_times_as_often() {
    let bench = bench_of(Porep::NonInteractive, 25);
    bench.label();
    let commitments = bench.replicate();
    let statement = bench.statement(commitments);
    assert_eq!(statement.seed, None);
    prove::prove_vanilla(&bench.job, &statement).unwrap();
    assert_eq!(bench.answered(), [2; 13]);
    assert_ne!(bench.vanilla_proofs().seed, [0; 32], "C2 would refuse it");
    // Nothing else enters: made again it is the same, byte for byte.
    let first = fs::read(bench.cached(outputs::C1)).unwrap();
    prove::prove_vanilla(&bench.job, &statement).unwrap();
    assert!(fs::read(bench.cached(outputs::C1)).unwrap() == first);
}

#[test]
fn the_kind_of_porep_enters_every_byte_of_the_replica() {
    let replica = |porep| {
        let bench = bench_of(porep, 26);
        bench.label();
        bench.replicate().comm_r
    };
    let [one, two, three] = Porep::ALL.map(replica);
    assert!(one != two && two != three && one != three);
}

#[test]
fn layers_of_another_kind_are_not_taken_over() {
    let mut bench = bench(27);
    bench.label();
    let before = fs::read(bench.layer(0)).unwrap();
    bench.job.porep = Porep::Synthetic;
    bench.label();
    assert_ne!(fs::read(bench.layer(0)).unwrap(), before);
    bench.replicate();
}

/// P1 to the SNARK and back.
fn is_sealed(porep: Porep, number: u64) -> (Bench, SealStatement, SealProof) {
    let bench = bench_of(porep, number);
    let engine = FilecoinEngine::new(bench.job.kind(), Hooks::default());
    engine.label(&bench.job, &bench.ticket, &|_| {}).unwrap();
    let commitments = engine.replicate(&bench.job, &bench.ticket).unwrap();
    bench.drop_what_is_answered();
    let statement = bench.statement(commitments);
    engine.prove_vanilla(&bench.job, &statement).unwrap();
    let begun = Instant::now();
    let proof = bench.snark_by_all_steps(&engine, &statement);
    println!("{porep}: C2 in {} s, {} bytes", begun.elapsed().as_secs(), proof.0.len());
    let begun = Instant::now();
    assert!(engine.verify_seal(&statement, &proof).unwrap());
    println!("{porep}: verified in {} ms", begun.elapsed().as_millis());
    for other in Porep::ALL.into_iter().filter(|other| *other != porep) {
        let other = SealStatement { porep: other, ..statement.clone() };
        assert!(!engine.verify_seal(&other, &proof).unwrap(), "{:?}", other.porep);
    }
    let (_dir, copy) = bench.stored_copy();
    engine.prove_stored(&copy, &commitments.comm_r).unwrap();
    (bench, statement, proof)
}

#[test]
#[ignore = "needs the 2 KiB parameters and a minute"]
fn a_synthetic_sector_ends_with_a_seal_proof_that_verifies() {
    let (bench, statement, proof) = is_sealed(Porep::Synthetic, 28);
    assert_eq!(proof.0.len(), 192);
    let other = SealStatement { seed: Some(seed(8)), ..statement };
    assert!(!prove::verify(&other, &proof).unwrap());
    drop(bench);
}

#[test]
#[ignore = "needs the 2 KiB parameters and thirteen SNARKs: ten minutes on two cores"]
fn a_non_interactive_sector_ends_with_an_aggregate_that_verifies() {
    let (bench, statement, mut proof) = is_sealed(Porep::NonInteractive, 29);
    let last = proof.0.len() - 1;
    proof.0[last] ^= 1;
    assert!(!prove::verify(&statement, &proof).unwrap());
    assert!(!prove::verify(&statement, &SealProof(vec![0; 192])).unwrap());
    assert!(!prove::verify(&statement, &SealProof(vec![])).unwrap());
    drop(bench);
}

/// A SNARK as the library writes one: the generators of the curve's groups, which prove nothing.
fn points_that_prove_nothing() -> Vec<u8> {
    const G1: &str = "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58\
                      6c55e83ff97a1aeffb3af00adb22c6bb";
    const G2: &str = "93e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049\
                      334cf11213945d57e5ac7d055d042b7e024aa2b2f08f0a91260805272dc51051\
                      c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8";
    [G1, G2, G1].into_iter().flat_map(|point| hex::decode(point).unwrap()).collect()
}

/// All of C2 but its SNARKs: the keys are found and fit each other, and what is aggregated is read
/// and judged.
#[test]
#[ignore = "needs the 2 KiB parameters' verifying key; seconds"]
fn an_aggregate_of_what_proves_nothing_is_made_read_and_refused() {
    let bench = bench_of(Porep::NonInteractive, 30);
    let engine = FilecoinEngine::new(bench.job.kind(), Hooks::default());
    engine.await_parameters(bench.job.kind()).unwrap();
    bench.label();
    let commitments = bench.replicate();
    let statement = bench.statement(commitments);
    let snarks = SealCommitPhase2Output { proof: points_that_prove_nothing().repeat(13) };
    let aggregate = aggregate_seal_commit_proofs(
        registered::seal_proof(bench.job.kind()),
        RegisteredAggregationProof::SnarkPackV2,
        &[commitments.comm_r.0.0],
        &[statement.seed_value().0],
        &[snarks],
    )
    .unwrap();
    println!("{} bytes", aggregate.len());
    assert!(!engine.verify_seal(&statement, &SealProof(aggregate.clone())).unwrap());
    assert!(!engine.verify_seal(&statement, &SealProof(aggregate[..99].to_vec())).unwrap());
}
