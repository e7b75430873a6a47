//! Pausing and resuming.

use axum::extract::State;

use super::done::{
    AllResumed, Answer, Drained, IntakeChanged, PhasePaused, PhaseResumed, carry_out,
};
use crate::scheduler::command::Command;
use crate::web::entry::By;
use crate::web::error::Named;
use crate::web::openapi::{Api, says};
use crate::web::{WebState, lookup};

pub fn add(api: Api) -> Api {
    api.post("/intake/pause", pause, says::<IntakeChanged>("pause", "Begin no further sector"))
        .post("/intake/resume", resume, says::<IntakeChanged>("resume", "Begin sectors again"))
        .post(
            "/phases/{phase}/pause",
            pause_phase,
            says::<PhasePaused>("pause_phase", "Start no more of it").leads(
                "resume",
                "resume_phase",
                &[("phase", "$response.body#/paused")],
            ),
        )
        .post(
            "/phases/{phase}/resume",
            resume_phase,
            says::<PhaseResumed>("resume_phase", "Start it again"),
        )
        .post("/drain", drain, says::<Drained>("drain", "Pause the intake and every phase"))
        .post("/resume", resume_all, says::<AllResumed>("resume_all", "Resume all of it"))
}

async fn pause(State(state): State<WebState>, By(by): By) -> Answer<IntakeChanged> {
    carry_out(&state, &by, Command::PauseIntake).await
}

async fn resume(State(state): State<WebState>, By(by): By) -> Answer<IntakeChanged> {
    carry_out(&state, &by, Command::ResumeIntake).await
}

async fn pause_phase(
    State(state): State<WebState>,
    By(by): By,
    Named(name): Named,
) -> Answer<PhasePaused> {
    let phase = lookup::phase(&name)?;
    carry_out(&state, &by, Command::PausePhase { phase }).await
}

async fn resume_phase(
    State(state): State<WebState>,
    By(by): By,
    Named(name): Named,
) -> Answer<PhaseResumed> {
    let phase = lookup::phase(&name)?;
    carry_out(&state, &by, Command::ResumePhase { phase }).await
}

async fn drain(State(state): State<WebState>, By(by): By) -> Answer<Drained> {
    carry_out(&state, &by, Command::Drain).await
}

async fn resume_all(State(state): State<WebState>, By(by): By) -> Answer<AllResumed> {
    carry_out(&state, &by, Command::ResumeAll).await
}
