//! What an attempt does when its time is over: what it makes, what it deletes, and how it ends.

use super::*;

impl World {
    pub(super) fn finish(&mut self, index: usize, history: &History) -> Result<(), Violation> {
        let attempt = &self.attempts[index];
        let sector = attempt.sector.clone();
        let number = sector.id.number;
        let output = match (attempt.phase, &sector.stage) {
            (Phase::P1, Stage::P1 { .. }) => {
                let scratch = &mut self.disk.of(number).scratch;
                scratch.remove(ANSWERS);
                scratch.insert(LAYERS);
                Output::P1
            }
            (Phase::P2, Stage::P2 { ticket, .. }) => {
                let output = Output::P2 { commitments: commitments(number, ticket) };
                if sector.porep == Porep::Synthetic {
                    return self.replicate_and_drop(index, output, history);
                }
                self.need(number, LAYERS)?;
                self.disk.of(number).scratch.insert(REPLICA);
                output
            }
            (Phase::P3, Stage::P3 { .. }) => {
                self.need(number, REPLICA)?;
                self.need(number, if sector.porep == Porep::Synthetic { ANSWERS } else { LAYERS })?;
                self.disk.of(number).scratch.insert(VANILLA);
                Output::P3
            }
            (Phase::P4, Stage::Proving { .. }) => {
                self.need(number, VANILLA)?;
                Output::P4 { proof: SealProof(vec![1; 4]) }
            }
            (Phase::P5, Stage::Proving { .. }) => {
                self.need(number, REPLICA)?;
                if !self.takes_a_copy(number) {
                    self.see("a copy met a full storage");
                    let full = Failure::new(Class::Space, "no storage has room", "simulated");
                    return self.end(index, Err(full));
                }
                self.disk.of(number).copied = Copied::Whole;
                Output::P5 { stored: stored() }
            }
            (Phase::P6, Stage::P6 { cleaning, .. }) => {
                let cleaning = cleaning.clone();
                return self.clean(index, &cleaning, history);
            }
            (phase, stage) => {
                let what = format!("{phase} of sector {number} began at {}", stage.name());
                return Err(broken("I2", what));
            }
        };
        self.end(index, Ok(output))
    }

    /// One step of a synthetic P2: make and check what stands for the layers, or find it made; then
    /// announce that they are dropped, wait until that is durable, drop them.
    fn replicate_and_drop(
        &mut self,
        index: usize,
        output: Output,
        history: &History,
    ) -> Result<(), Violation> {
        let number = self.attempts[index].sector.id.number;
        match self.attempts[index].deleting {
            Deleting::Refused => {
                let what = "a deletion could not be put on record";
                return self.end(index, Err(Failure::new(Class::Transient, what, "simulated")));
            }
            Deleting::OnRecord(_) => {
                self.see("the layers were dropped");
                self.attempts[index].deleting = Deleting::Nothing;
                return self.disk.drop_layers(number, history);
            }
            Deleting::Nothing | Deleting::Announced(_) => {}
        }
        let answered = self.disk.of(number).scratch.contains(ANSWERS);
        if !answered && !planted(Bug::DropsUnanswered) {
            self.need(number, LAYERS)?;
            self.disk.of(number).scratch.extend([REPLICA, ANSWERS]);
            return Ok(());
        }
        if !self.disk.of(number).scratch.contains(LAYERS) {
            self.disk.of(number).scratch.insert(REPLICA);
            return self.end(index, Ok(output));
        }
        self.announce(index, LAYERS);
        Ok(())
    }

    fn announce(&mut self, index: usize, file: &'static str) {
        let attempt = &mut self.attempts[index];
        attempt.deleting = Deleting::Announced(file);
        let event = Event::Deleted { path: file.into(), bytes: 1, reason: "simulated".to_owned() };
        let (worker, sector) = (attempt.worker, attempt.sector.id.number);
        self.inputs.push_back(Input::During { worker, sector, event });
    }

    /// One step of P6: prove the copy, then one file after the other: announce, wait until that is
    /// durable, delete.
    fn clean(
        &mut self,
        index: usize,
        cleaning: &Cleaning,
        history: &History,
    ) -> Result<(), Violation> {
        let number = self.attempts[index].sector.id.number;
        let given_up = match cleaning {
            Cleaning::GivenUp { .. } => true,
            Cleaning::Sealed { .. } => false,
        };
        match self.attempts[index].deleting {
            Deleting::Refused => {
                let what = "a deletion could not be put on record";
                return self.end(index, Err(Failure::new(Class::Transient, what, "simulated")));
            }
            Deleting::OnRecord(file) => {
                self.attempts[index].deleting = Deleting::Nothing;
                return self.disk.delete(number, file, history);
            }
            Deleting::Nothing | Deleting::Announced(_) => {}
        }
        if !given_up && !planted(Bug::CleansBeforeProof) {
            let files = self.disk.of(number);
            if files.copied != Copied::Whole {
                self.see("P6 refused a damaged copy");
                let bad = Failure::new(Class::Sector, "the stored copy is damaged", "simulated");
                return self.end(index, Err(bad));
            }
            files.proven = true;
        }
        let Some(file) = self.disk.to_delete(number, given_up) else {
            return self.end(index, Ok(Output::P6));
        };
        if planted(Bug::DeletesBeforeRecord) {
            return self.disk.delete(number, file, history);
        }
        self.announce(index, file);
        Ok(())
    }

    /// What a phase needs is there, as long as its sector lives.
    fn need(&mut self, number: SectorNumber, file: &'static str) -> Result<(), Violation> {
        ensure(self.disk.of(number).scratch.contains(file), "I4", || {
            format!("sector {number} is at work and its {file} is gone")
        })
    }

    pub(super) fn end(
        &mut self,
        index: usize,
        result: Result<Output, Failure>,
    ) -> Result<(), Violation> {
        let Attempt { worker, sector, phase, .. } = self.attempts.remove(index);
        let sector = sector.id.number;
        let event = match result {
            Ok(output) => Event::Succeeded { output },
            Err(failure) => {
                self.leave_partly_copied(sector, phase);
                if phase == Phase::P5 && failure.class == Class::Space {
                    self.disk.drop_what_is_unfinished(sector);
                }
                if failure.what == PANICKED {
                    self.see("an attempt panicked");
                    self.inputs.push_back(Input::Suspect);
                }
                Event::Failed { phase, failure }
            }
        };
        self.inputs.push_back(Input::Ended { worker, sector, event });
        Ok(())
    }
}

/// The same ticket gives the same replica, another gives another.
fn commitments(number: SectorNumber, ticket: &Ticket) -> Commitments {
    let mut comm_r = [0; 32];
    comm_r[..8].copy_from_slice(&number.0.to_le_bytes());
    comm_r[8..16].copy_from_slice(&ticket.epoch.0.to_le_bytes());
    Commitments { comm_d: CommD(Bytes32([0; 32])), comm_r: CommR(Bytes32(comm_r)) }
}

fn stored() -> StoredAt {
    StoredAt { root: "storage".to_owned(), bytes: 1, manifest: Bytes32([3; 32]) }
}
