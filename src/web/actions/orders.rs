//! Orders: placed, moved, cancelled.

use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::{Answer, Fields, Plain, carry_out, fields};
use crate::domain::ids::OrderId;
use crate::domain::order::{ORDER_LIMIT, Place};
use crate::domain::units::SectorSize;
use crate::scheduler::command::Command;
use crate::web::WebState;
use crate::web::entry::By;
use crate::web::error::{Named, Unanswered};
use crate::web::lookup::shortened;
use crate::web::show::grouped;

#[derive(Debug, Deserialize)]
pub struct OrderFields {
    #[serde(default)]
    count: String,
    size: Option<String>,
    #[serde(default)]
    back: String,
}

/// How many sectors an order asks for. Whatever makes no sense goes no further than here.
pub fn order_count(text: &str) -> Result<u64, Unanswered> {
    let text = text.trim();
    let mend = format!("give a whole number from 1 to {}", grouped(ORDER_LIMIT));
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        let found =
            if text.is_empty() { "nothing".to_owned() } else { format!("`{}`", shortened(text)) };
        return Err(Unanswered::invalid(
            format!("{found} is not a number of sectors; nothing was ordered"),
            mend,
        ));
    }
    // Digits that do not fit are more than the limit too.
    match text.parse::<u64>() {
        Ok(0) => Err(Unanswered::invalid("an order of 0 sectors orders nothing", mend)),
        Ok(count) if count <= ORDER_LIMIT => Ok(count),
        Ok(_) | Err(_) => Err(Unanswered::invalid(
            format!(
                "{} sectors are more than one order may ask for ({}); nothing was ordered",
                shortened(text),
                grouped(ORDER_LIMIT)
            ),
            mend,
        )),
    }
}

/// The size an order names, or the box's own.
pub fn order_size(state: &WebState, text: Option<&str>) -> Result<SectorSize, Unanswered> {
    match text.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(state.handle.view().sector_size),
        Some(text) => text.parse().map_err(|_| {
            let known = SectorSize::ALL.map(SectorSize::name).join(", ");
            Unanswered::invalid(
                format!("`{}` is no sector size; nothing was ordered", shortened(text)),
                format!("use one of {known}"),
            )
        }),
    }
}

pub async fn order(State(state): State<WebState>, By(by): By, sent: Fields<OrderFields>) -> Answer {
    let fields = fields(sent)?;
    let count = order_count(&fields.count)?;
    let size = order_size(&state, fields.size.as_deref())?;
    carry_out(&state, &by, Command::Order { size, count }, &Plain { back: fields.back }).await
}

pub async fn cancel_order(
    State(state): State<WebState>,
    By(by): By,
    Named(order): Named,
    sent: Fields<Plain>,
) -> Answer {
    let order = order_id(&order)?;
    carry_out(&state, &by, Command::CancelOrder { order }, &fields(sent)?).await
}

#[derive(Debug, Deserialize)]
pub struct MoveFields {
    to: Option<String>,
    before: Option<String>,
    #[serde(default)]
    back: String,
}

pub async fn move_order(
    State(state): State<WebState>,
    By(by): By,
    Named(order): Named,
    sent: Fields<MoveFields>,
) -> Answer {
    let order = order_id(&order)?;
    let fields = fields(sent)?;
    let to = place(fields.to.as_deref(), fields.before.as_deref())?;
    carry_out(&state, &by, Command::MoveOrder { order, to }, &Plain { back: fields.back }).await
}

/// Where an order is to be put: a word, or the number of the order that it is to stand before.
pub fn place(to: Option<&str>, before: Option<&str>) -> Result<Place, Unanswered> {
    let mend = "say first, up, down or last, or the number of the open order that it is to stand \
                before";
    let refused = |what: String| Unanswered::invalid(format!("{what}; nothing was moved"), mend);
    let [to, before] = [to, before].map(|text| text.map(str::trim).filter(|text| !text.is_empty()));
    match (to, before) {
        (Some(word), None) => {
            let named = Place::NAMED.into_iter().find(|(name, _)| *name == word);
            let place = named.map(|(_, place)| place);
            place.ok_or_else(|| refused(format!("`{}` is no place for an order", shortened(word))))
        }
        (None, Some(number)) => number
            .parse()
            .map(|number| Place::Before(OrderId(number)))
            .map_err(|_| refused(format!("`{}` is no order's number", shortened(number)))),
        (None, None) => Err(refused("no place was named".to_owned())),
        (Some(_), Some(_)) => Err(refused("two places were named".to_owned())),
    }
}

pub fn order_id(text: &str) -> Result<OrderId, Unanswered> {
    text.parse().map(OrderId).map_err(|_| {
        let detail = format!("there is no order {}", shortened(text));
        Unanswered::new(StatusCode::NOT_FOUND, detail, "the Overview lists the open orders")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_that_makes_no_sense_is_refused_with_the_reason() {
        for text in [
            "0",
            "",
            " ",
            "-1",
            "1.5",
            "1e3",
            "many",
            "100001",
            "1000000000000",
            "9".repeat(99).as_str(),
        ] {
            let why = order_count(text).unwrap_err();
            assert_eq!(why.status, StatusCode::UNPROCESSABLE_ENTITY, "{text}");
            assert!(why.mend.contains("from 1 to 100,000"), "{text}: {}", why.mend);
        }
        assert_eq!(order_count(" 100000 "), Ok(ORDER_LIMIT));
    }
}
