//! The playground: a customer's phone and the records of three CRMs beside each other, played by whoever looks
//! at them, with the daemon between them. Everybody in it is invented, so nothing is masked.
//!
//! | path | what |
//! | --- | --- |
//! | `GET /v1/playground` | phone, records, what is broken on purpose |
//! | `POST /v1/playground/act` | writes as the customer, hands over, acts as a rep |
//! | `POST /v1/playground/faults` | breaks something, or mends it again |
//! | `POST /v1/playground/reset` | begins another conversation |
//!
//! | module | what it holds |
//! | --- | --- |
//! | `acts` | what a person does |
//! | `faults` | what is broken on purpose, and for how long |
//! | `records` | what reps and the customer see |

mod acts;
mod faults;
mod records;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use self::acts::Act;
use self::faults::{Broken, Wanted};
use super::gateway::Gateway;
use crate::sandbox::Running;

/// What is refused, in words for whoever pressed.
type Outcome<T = ()> = Result<T, String>;

/// A conversation that is being played.
struct Play {
    /// Its number; sessions and customers are told apart by it.
    number: usize,
    session: String,
    customer: String,
    /// What was said before the handoff, as the gateway knows it.
    transcript: Vec<Value>,
    is_handed_over: bool,
    /// Whether a rep of Salesforce has taken it.
    is_accepted: bool,
}

impl Play {
    fn new(number: usize) -> Play {
        Play {
            number,
            session: format!("play-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]),
            customer: format!("4915112300{:03}", number % 1_000),
            transcript: Vec::new(),
            is_handed_over: false,
            is_accepted: false,
        }
    }
}

/// The simulators, the gateway between the customer and the daemon, and the conversation that is played.
pub struct Playground {
    running: Arc<Running>,
    gateway: Gateway,
    play: Mutex<Play>,
    broken: Mutex<Broken>,
    /// One act at a time, so that what is said keeps its order.
    turn: tokio::sync::Mutex<()>,
}

impl Playground {
    /// A playground with these simulators and the daemon that takes events there.
    ///
    /// # Errors
    /// A simulator is missing, or there is no HTTP client.
    pub fn new(
        running: Arc<Running>,
        daemon: SocketAddr,
        token: &str,
    ) -> anyhow::Result<Playground> {
        let gateway = Gateway::new(&running, daemon, token)?;
        Ok(Playground {
            running,
            gateway,
            play: Mutex::new(Play::new(1)),
            broken: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        })
    }

    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn broken(&self) -> MutexGuard<'_, Broken> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> Value {
        self.broken().mend_what_is_old(&self.running);
        let play = self.play();
        let phone = records::phone(&self.running, &play.customer);
        json!({
            "session": play.session,
            "is_handed_over": play.is_handed_over,
            "is_begun": !play.transcript.is_empty() || play.is_handed_over,
            "phone": phone,
            "records": records::of(&self.running, &play.session, &self.broken()),
            "faults": self.broken().told(),
        })
    }
}

/// The routes, for the admin API's listener and behind its guard.
pub fn routes(playground: Arc<Playground>) -> Router {
    Router::new()
        .route("/v1/playground", get(view))
        .route("/v1/playground/act", post(act))
        .route("/v1/playground/faults", post(break_it))
        .route("/v1/playground/reset", post(reset))
        .with_state(playground)
}

type Ground = State<Arc<Playground>>;

async fn view(State(ground): Ground) -> Json<Value> {
    Json(ground.view())
}

async fn act(State(ground): Ground, Json(act): Json<Act>) -> Response {
    let _turn = ground.turn.lock().await;
    let done = ground.act(act).await;
    ground.answer(done)
}

async fn break_it(State(ground): Ground, Json(wanted): Json<Wanted>) -> Response {
    let done = ground.broken().set(&ground.running, &wanted);
    ground.answer(done)
}

async fn reset(State(ground): Ground) -> Response {
    let _turn = ground.turn.lock().await;
    ground.broken().mend_all(&ground.running);
    let number = ground.play().number + 1;
    *ground.play() = Play::new(number);
    ground.answer(Ok(()))
}

impl Playground {
    fn answer(&self, done: Outcome) -> Response {
        match done {
            Ok(()) => Json(self.view()).into_response(),
            Err(words) => (StatusCode::CONFLICT, Json(json!({"error": words}))).into_response(),
        }
    }
}
