//! The simulated chain, and the errands to it: what the messenger does, one step at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::event::Event;
use crate::domain::failure::{Class, Failure};
use crate::domain::ids::{Bytes32, CommR, SectorNumber};
use crate::domain::pipeline::Effect;
use crate::domain::porep::Porep;
use crate::domain::sector::{Commit, PreCommit, Sector, Seed, Snark, Stage, Ticket};
use crate::domain::units::Epoch;

use super::random::Random;
use super::violation::{Violation, ensure};

/// Something that was asked of the chain and not answered yet.
#[derive(Debug, Clone)]
pub struct Errand {
    pub sector: Arc<Sector>,
    pub effect: Effect,
}

impl Errand {
    pub fn number(&self) -> SectorNumber {
        self.sector.id.number
    }
}

/// How it treats those who ask.
#[derive(Debug, Clone, Copy, Default)]
pub struct Temper {
    pub refuses_percent: u64,
    pub trouble_percent: u64,
}

#[derive(Debug, Default)]
pub struct Chain {
    epoch: u64,
    pre_commits: BTreeMap<SectorNumber, CommR>,
    commits: BTreeSet<SectorNumber>,
}

impl Chain {
    /// One ask. None: there was no answer, it is asked again; the chain may have done it all the
    /// same.
    pub fn ask(
        &mut self,
        errand: &Errand,
        temper: Temper,
        random: &mut Random,
    ) -> Result<Option<Event>, Violation> {
        self.epoch += 1;
        let number = errand.number();
        let lost = random.percent(temper.trouble_percent);
        if lost && random.percent(50) {
            return Ok(None);
        }
        let refused = random.percent(temper.refuses_percent);
        let answer = match (errand.effect, &errand.sector.stage) {
            (Effect::DrawTicket, _) => Event::TicketDrawn {
                ticket: Ticket { epoch: Epoch(self.epoch), value: byte(number) },
            },
            (Effect::SendPreCommit, Stage::PreCommitting { replica }) => {
                self.pre_commit(number, replica.commitments.comm_r, refused)?
            }
            (Effect::AwaitSeed, Stage::WaitSeed { pre_commit, .. }) => Event::SeedDrawn {
                seed: Seed { epoch: pre_commit.seed_epoch, value: byte(number) },
            },
            (
                Effect::SendCommit,
                Stage::Proving { challenge, snark: Snark::Committing { .. }, .. },
            ) => {
                let comm_r = challenge.replica.commitments.comm_r;
                self.commit(number, comm_r, errand.sector.porep, refused)?
            }
            (Effect::SendPreCommit | Effect::AwaitSeed | Effect::SendCommit, stage) => {
                return Err(Violation {
                    of: "chain",
                    what: format!("{:?} asked at {}", errand.effect, stage.name()),
                });
            }
        };
        Ok((!lost).then_some(answer))
    }

    fn pre_commit(
        &mut self,
        number: SectorNumber,
        comm_r: CommR,
        refused: bool,
    ) -> Result<Event, Violation> {
        if refused && !self.pre_commits.contains_key(&number) {
            return Ok(Event::PreCommitRefused { failure: no("the pre-commit") });
        }
        let on_chain = *self.pre_commits.entry(number).or_insert(comm_r);
        ensure(on_chain == comm_r, "chain", || {
            format!("sector {number} is on chain with another comm_r")
        })?;
        let epoch = Epoch(self.epoch);
        let seed_epoch = Epoch(self.epoch + 150);
        Ok(Event::PreCommitted {
            pre_commit: PreCommit { message: format!("pre-commit {number}"), epoch, seed_epoch },
        })
    }

    fn commit(
        &mut self,
        number: SectorNumber,
        comm_r: CommR,
        porep: Porep,
        refused: bool,
    ) -> Result<Event, Violation> {
        let expected = match porep {
            Porep::Interactive | Porep::Synthetic => Some(&comm_r),
            Porep::NonInteractive => None,
        };
        ensure(self.pre_commits.get(&number) == expected, "chain", || {
            format!("a commit of {porep} sector {number} beside another pre-commit, or without one")
        })?;
        if refused && !self.commits.contains(&number) {
            return Ok(Event::CommitRefused { failure: no("the commit") });
        }
        self.commits.insert(number);
        let commit = Commit { message: format!("commit {number}"), epoch: Epoch(self.epoch) };
        Ok(Event::Committed { commit })
    }

    pub fn has_commit(&self, number: SectorNumber) -> bool {
        self.commits.contains(&number)
    }
}

fn no(to: &str) -> Failure {
    Failure::new(Class::Sector, format!("the chain refused {to}"), "simulated")
}

fn byte(number: SectorNumber) -> Bytes32 {
    Bytes32([u8::try_from(number.0 % 251).expect("below 251"); 32])
}
