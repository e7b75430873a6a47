//! Carries what sectors owe to the chain, one task a sector and step, until the chain answers.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::chain::{Answer, Chain, ChainError};
use crate::domain::event::Event;
use crate::domain::failure::Failure;
use crate::domain::ids::{SealProof, SectorId};
use crate::domain::pipeline::Effect;
use crate::domain::sector::{Challenge, Commit, Sector, Snark, Stage};

use super::input::Input;

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub struct Messenger {
    pub chain: Arc<dyn Chain>,
    pub inputs: mpsc::UnboundedSender<Input>,
    pub runtime: runtime::Handle,
}

impl Messenger {
    /// Asks the chain for what the sector owes, again and again until there is an answer. The
    /// chain's calls are idempotent, so that asking once more after a restart does no harm.
    pub fn send(&self, sector: Arc<Sector>, effect: Effect) -> AbortHandle {
        let this = self.clone();
        self.runtime.spawn(async move { this.carry(&sector, effect).await }).abort_handle()
    }

    async fn carry(&self, sector: &Sector, effect: Effect) {
        let number = sector.id.number;
        let mut wait = FIRST_WAIT;
        loop {
            match self.ask(sector, effect).await {
                Ok(Some(event)) => return self.tell(Input::Chain { sector: number, event }),
                // The sector moved on before the effect was carried out: nobody waits for this.
                Ok(None) => return,
                Err(failure) => {
                    tracing::warn!(sector = number.0, %failure, "the chain gives no answer");
                    self.tell(Input::ChainTrouble { sector: number, failure: Some(failure) });
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn ask(&self, sector: &Sector, effect: Effect) -> Result<Option<Event>, Failure> {
        let id = sector.id;
        let event = match (effect, &sector.stage) {
            (Effect::DrawTicket, _) => Event::TicketDrawn { ticket: self.chain.ticket(id).await? },
            (Effect::SendPreCommit, Stage::PreCommitting { replica }) => {
                match self.chain.pre_commit(id, replica.ticket, replica.commitments).await {
                    Ok(pre_commit) => Event::PreCommitted { pre_commit },
                    Err(ChainError::Refused(failure)) => Event::PreCommitRefused { failure },
                    Err(ChainError::Trouble(failure)) => return Err(failure),
                }
            }
            (Effect::AwaitSeed, Stage::WaitSeed { pre_commit, .. }) => {
                Event::SeedDrawn { seed: self.chain.seed(id, pre_commit.clone()).await? }
            }
            (
                Effect::SendCommit,
                Stage::Proving { challenge, snark: Snark::Committing { proof, .. }, .. },
            ) => match self.commit(id, challenge, proof.clone()).await {
                Ok(commit) => Event::Committed { commit },
                Err(ChainError::Refused(failure)) => Event::CommitRefused { failure },
                Err(ChainError::Trouble(failure)) => return Err(failure),
            },
            (Effect::SendPreCommit | Effect::AwaitSeed | Effect::SendCommit, _) => return Ok(None),
        };
        Ok(Some(event))
    }

    fn commit<'a>(
        &'a self,
        id: SectorId,
        challenge: &Challenge,
        proof: SealProof,
    ) -> Answer<'a, Commit, ChainError> {
        match challenge.pre_commit() {
            Some(pre_commit) => self.chain.commit(id, pre_commit.clone(), proof),
            None => self.chain.commit_at_once(id, challenge.replica, proof),
        }
    }

    fn tell(&self, input: Input) {
        // The scheduler is gone only when the process stops.
        drop(self.inputs.send(input));
    }
}

impl std::fmt::Debug for Messenger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messenger").finish_non_exhaustive()
    }
}
