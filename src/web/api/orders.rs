//! The open orders: placed, listed, moved, cancelled.

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Json, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::done::{Answer, OrderCancelled, OrderMoved, Ordered, carry_out};
use super::{body, in_text, of, optional, query};
use crate::domain::ids::OrderId;
use crate::domain::order::{ORDER_LIMIT, Order};
use crate::domain::units::SectorSize;
use crate::scheduler::command::Command;
use crate::web::WebState;
use crate::web::actions::{order_count, order_id, order_size, place};
use crate::web::entry::By;
use crate::web::error::{Named, Problem, Unanswered};
use crate::web::lookup::{self, Paging};
use crate::web::openapi::{Api, Said, says};
use crate::web::schema::shape;
use crate::web::status::{OrderRow, order_row};

pub fn add(api: Api) -> Api {
    let count = json!({ "type": "integer", "minimum": 1, "maximum": ORDER_LIMIT });
    let size = optional(of::<SectorSize>());
    let to = json!({ "type": "object", "additionalProperties": false, "oneOf": [
        { "required": ["to"], "properties": { "before": false } },
        { "required": ["before"], "properties": { "to": false } },
    ], "properties": {
        "to": { "enum": ["first", "up", "down", "last"] },
        "before": of::<u64>(),
    } });
    let list = says::<Open>("orders", "The open orders, in order of their issue");
    let order = says::<Ordered>("order", "Order sectors").status(201).takes(json!({
        "type": "object", "additionalProperties": false, "required": ["count"],
        "properties": { "count": count, "size": size },
    }));
    api.get("/orders", orders, leading(list.paged(of::<u64>()), "$response.body#/orders/0/order"))
        .post("/orders", order_sectors, leading(order, "$response.body#/order"))
        .post(
            "/orders/{order}/move",
            move_order,
            leading(says::<OrderMoved>("move_order", "Move it").takes(to), "$response.body#/moved"),
        )
        .post(
            "/orders/{order}/cancel",
            cancel_order,
            says::<OrderCancelled>("cancel_order", "Cancel its rest").leads(
                "sectors",
                "sectors",
                &[("order", "$response.body#/cancelled")],
            ),
        )
}

/// What can be done with an order whose number is there.
fn leading(said: Said, number: &'static str) -> Said {
    let order = [("order", number)];
    said.leads("move", "move_order", &order)
        .leads("cancel", "cancel_order", &order)
        .leads("sectors", "sectors", &order)
}

#[derive(Serialize)]
struct Open {
    orders: Vec<OrderRow>,
    next: Option<OrderId>,
}

shape!(Open { orders, next });

/// In the order in which they are issued, which a move can change between two pages.
async fn orders(
    State(state): State<WebState>,
    sent: Result<Query<Paging>, QueryRejection>,
) -> Result<Json<Open>, Problem> {
    let paging = query(sent)?;
    let (after, limit) = (paging.after("3", order_number)?, paging.limit()?);
    let view = state.handle.view();
    let begins = after.map(|after| behind(&view.orders, after)).transpose()?.unwrap_or(0);
    let page = lookup::piece(view.orders[begins..].iter(), limit, |order| order.id);
    Ok(Json(Open { orders: page.items.into_iter().map(order_row).collect(), next: page.next }))
}

fn order_number(text: &str) -> Option<OrderId> {
    text.parse().ok().map(OrderId)
}

fn behind(orders: &[Order], after: OrderId) -> Result<usize, Unanswered> {
    let at = orders.iter().position(|order| order.id == after);
    at.map(|at| at + 1).ok_or_else(|| {
        let what = format!("order {after} is not open, so nothing is behind it");
        Unanswered::new(StatusCode::NOT_FOUND, what, "ask from the beginning, without `after`")
    })
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OrderBody {
    /// Looked at by hand, so that a strange number gets an answer in words.
    count: Value,
    size: Option<String>,
}

async fn order_sectors(
    State(state): State<WebState>,
    By(by): By,
    sent: Result<Json<OrderBody>, JsonRejection>,
) -> Result<(StatusCode, Json<Ordered>), Problem> {
    let asked = body(sent, r#"{"count":3}"#)?;
    let count = order_count(&in_text(&asked.count))?;
    let size = order_size(&state, asked.size.as_deref())?;
    let ordered = carry_out(&state, &by, Command::Order { size, count }).await?;
    Ok((StatusCode::CREATED, ordered))
}

/// `{"to":"first"}`, or `{"before":3}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MoveBody {
    to: Option<String>,
    before: Option<Value>,
}

async fn move_order(
    State(state): State<WebState>,
    By(by): By,
    Named(order): Named,
    sent: Result<Json<MoveBody>, JsonRejection>,
) -> Answer<OrderMoved> {
    let order = order_id(&order)?;
    let asked = body(sent, r#"{"to":"first"} or {"before":3}"#)?;
    let before = asked.before.as_ref().map(in_text);
    let to = place(asked.to.as_deref(), before.as_deref())?;
    carry_out(&state, &by, Command::MoveOrder { order, to }).await
}

async fn cancel_order(
    State(state): State<WebState>,
    By(by): By,
    Named(order): Named,
) -> Answer<OrderCancelled> {
    let order = order_id(&order)?;
    carry_out(&state, &by, Command::CancelOrder { order }).await
}
