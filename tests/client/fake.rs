//! A platform with a manual clock. Every answer arrives through a timer, even an immediate answer: so does an answer of
//! a network.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use opik_edge::client::{Answer, Platform, Request};
use opik_edge::record::Random;
use serde_json::Value;

pub const START_MS: u64 = 1_800_000_000_000;

/// A request of the client.
#[derive(Clone, Debug)]
pub struct Made {
    /// Since the beginning.
    pub at: u64,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
}

impl Made {
    /// The rows in its body.
    pub fn rows(&self) -> &Vec<Value> {
        self.body.as_object().unwrap().values().next().unwrap().as_array().unwrap()
    }

    pub fn names(&self) -> Vec<&str> {
        self.rows().iter().map(|row| row["name"].as_str().unwrap()).collect()
    }
}

/// The answer to a request; without a status the request hangs.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: Option<u16>,
    pub headers: Vec<(String, String)>,
    pub after_ms: u64,
}

impl Reply {
    pub fn of(status: u16) -> Self {
        Self { status: Some(status), headers: Vec::new(), after_ms: 0 }
    }
}

struct Timer {
    at: u64,
    is_due: Rc<Cell<bool>>,
}

struct World {
    now: Cell<u64>,
    random: Cell<u32>,
    timers: RefCell<Vec<Timer>>,
    requests: RefCell<Vec<Made>>,
    replies: RefCell<VecDeque<Reply>>,
    reply: RefCell<Reply>,
    warnings: RefCell<Vec<String>>,
    tasks: RefCell<Vec<Pin<Box<dyn Future<Output = ()>>>>>,
}

/// Clones share their state.
#[derive(Clone)]
pub struct Fake(Rc<World>);

impl Fake {
    pub fn new() -> Self {
        Self(Rc::new(World {
            now: Cell::new(START_MS),
            random: Cell::default(),
            timers: RefCell::default(),
            requests: RefCell::default(),
            replies: RefCell::default(),
            reply: RefCell::new(Reply::of(204)),
            warnings: RefCell::default(),
            tasks: RefCell::default(),
        }))
    }

    /// Sets the 32 random bits for waits and pauses.
    pub fn random_bits(&self, bits: u32) {
        self.0.random.set(bits);
    }

    /// Sets the answers to the first requests, and the answer to all others.
    pub fn answer(&self, first: impl IntoIterator<Item = Reply>, others: Reply) {
        *self.0.replies.borrow_mut() = first.into_iter().collect();
        *self.0.reply.borrow_mut() = others;
    }

    pub fn requests(&self) -> Vec<Made> {
        self.0.requests.borrow().clone()
    }

    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings.borrow().clone()
    }

    /// Milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.0.now.get() - START_MS
    }

    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.tasks.borrow_mut().push(Box::pin(task));
        self.poll();
    }

    /// Advances the clock by `ms`. Returns the number of unfinished tasks.
    pub fn advance(&self, ms: u64) -> usize {
        let until = self.0.now.get() + ms;
        self.poll();
        while let Some(timer) = self.next_timer(until) {
            self.0.now.set(timer.at.max(self.0.now.get()));
            timer.is_due.set(true);
            self.poll();
        }
        self.0.now.set(until);
        self.0.tasks.borrow().len()
    }

    /// Runs a future to its end and advances the clock as needed.
    pub fn run<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        let result = Rc::new(RefCell::new(None));
        let place = Rc::clone(&result);
        self.spawn(async move { *place.borrow_mut() = Some(future.await) });
        while result.borrow().is_none() {
            let Some(timer) = self.next_timer(u64::MAX) else { panic!("it waits for nothing") };
            self.0.now.set(timer.at.max(self.0.now.get()));
            timer.is_due.set(true);
            self.poll();
        }
        result.take().unwrap()
    }

    fn next_timer(&self, until: u64) -> Option<Timer> {
        let mut timers = self.0.timers.borrow_mut();
        // Forgets the timers of dropped futures.
        timers.retain(|timer| Rc::strong_count(&timer.is_due) > 1);
        let (index, timer) = timers.iter().enumerate().min_by_key(|(_, timer)| timer.at)?;
        (timer.at <= until).then_some(index).map(|index| timers.remove(index))
    }

    /// Polls twice: a task may wait for another task.
    fn poll(&self) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            let mut tasks = self.0.tasks.take();
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            self.0.tasks.borrow_mut().append(&mut tasks);
        }
    }
}

impl Platform for Fake {
    fn now_ms(&self) -> u64 {
        self.0.now.get()
    }

    fn random(&self) -> Random {
        let [a, b, c, d] = self.0.random.get().to_be_bytes();
        [a, b, c, d, 7, 7, 7, 7, 7, 7, 7, 7]
    }

    async fn post(&self, request: Request<'_>) -> Option<Answer> {
        self.0.requests.borrow_mut().push(Made {
            at: self.now(),
            url: request.url.to_owned(),
            headers: request.headers,
            body: serde_json::from_slice(request.body).unwrap(),
        });
        let next = self.0.replies.borrow_mut().pop_front();
        let Reply { status, headers, after_ms } = next.unwrap_or_else(|| self.0.reply.borrow().clone());
        let Some(status) = status else { return std::future::pending().await };
        self.sleep(after_ms).await;
        (status != 0).then_some(Answer { status, headers })
    }

    fn sleep(&self, ms: u64) -> impl Future<Output = ()> {
        let is_due = Rc::new(Cell::new(false));
        self.0.timers.borrow_mut().push(Timer { at: self.0.now.get() + ms, is_due: Rc::clone(&is_due) });
        poll_fn(move |_| if is_due.get() { Poll::Ready(()) } else { Poll::Pending })
    }

    fn warn(&self, message: &str) {
        self.0.warnings.borrow_mut().push(message.to_owned());
    }
}
