//! The golden vectors of delivery, which JavaScript also runs. A recording of the client plays the recorder.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use opik_edge::client::{Client, Report, Root, Settings};
use serde_json::{Value, json};

use crate::fake::{Fake, Reply};

/// The vectors that do not apply to the Rust client, with the reason.
const LEFT_OUT: [(&str, &[&str]); 6] = [
    (
        "it has no scores, and one trace",
        &[
            "an upload is a thousand rows of one kind",
            "scores go one request after another",
            "scores that a backend does not know say nothing of the rest",
        ],
    ),
    (
        "each flush sends by itself, and what is under way ends with it",
        &[
            "what comes while two requests are under way is one request more",
            "a deadline ends the wait, and what is under way goes on",
            "an attempt may last until the latest deadline",
            "an attempt goes on for thirty seconds after those who waited have left",
            "it is tried again as long as anybody waits",
            "what an older flush has given up is reported by a younger one that waits",
        ],
    ),
    ("a future does nothing before it is polled", &["a flush's requests are out before it returns"]),
    (
        "nothing is sent without being asked for",
        &[
            "an attempt that nobody waits for may last thirty seconds",
            "an invocation's end drops what was not tried for its deadline",
            "an invocation's last requests keep their order after one has failed",
            "a process's end breaks off what is under way after five seconds, and drops the rest",
            "what settles while nobody waits is in the next report",
            "a destination that refuses is left alone, and then tried with one upload",
            "a destination on trial is tried once",
            "of what waits too long the oldest spans are dropped, no traces",
            "a process sends after two seconds, and a thousand rows at once",
        ],
    ),
    (
        "no row is written early",
        &[
            "a row is written early after fifteen seconds, and accounted for apart",
            "once it has begun to send an invocation sends once a second at most",
            "an early row that waits is left out once its row is whole",
        ],
    ),
    (
        "its room is fixed, and its requests are those of all its flushes",
        &[
            "a client that requests share sends nothing before it is flushed, however much there is",
            "of a client that requests share each flush has forty requests",
        ],
    ),
];

/// `a0..a2` stands for the names `a0`, `a1` and `a2`.
fn expand(rows: &Value) -> Vec<String> {
    let mut names = Vec::new();
    for row in rows.as_array().into_iter().flatten().map(|row| row.as_str().unwrap()) {
        let Some((first, last)) = row.split_once("..") else {
            names.push(row.to_owned());
            continue;
        };
        let prefix = first.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let number = |name: &str| name.strip_prefix(prefix).unwrap().parse::<u32>().unwrap();
        names.extend((number(first)..=number(last)).map(|number| format!("{prefix}{number}")));
    }
    names
}

fn reply(answer: &Value) -> Reply {
    let headers = answer["headers"].as_object().into_iter().flatten();
    Reply {
        status: answer["status"].as_u64().map(|status| u16::try_from(status).unwrap()),
        headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
        after_ms: answer["after_ms"].as_u64().unwrap_or(0),
    }
}

/// A report in the form of the vectors.
fn told(at: u64, report: &Report) -> Value {
    let dropped: BTreeMap<_, _> = report.dropped.iter().copied().collect();
    json!({
        "at": at, "sent": report.sent, "kept": report.kept, "retried": report.retried, "requests": report.requests,
        "dropped": dropped,
    })
}

fn play(vector: &Value) {
    let fake = Fake::new();
    let number = |key: &str, preset: u64| vector[key].as_u64().unwrap_or(preset);
    fake.random_bits(u32::try_from(number("random", 0)).unwrap());
    let answers = vector["answers"].as_array().into_iter().flatten().map(reply);
    fake.answer(answers, vector.get("answer").map_or(Reply::of(204), reply));
    let mut settings = Settings { url: "http://opik.test/api".into(), ..Settings::default() };
    settings.max_body_bytes = usize::try_from(number("max_body_bytes", 1 << 22)).unwrap();
    let client = Client::new(fake.clone(), settings);
    let mut root = Some(client.begin("root"));
    let reports = Rc::new(RefCell::new(BTreeMap::new()));
    let last = Rc::new(RefCell::new(Report::default()));
    if vector["of"] == "invocation" {
        let (delivered, last) = (root.as_ref().unwrap().delivered(), Rc::clone(&last));
        fake.spawn(async move { *last.borrow_mut() = delivered.await });
    }
    for step in vector["steps"].as_array().unwrap() {
        fake.advance(step["at"].as_u64().unwrap() - fake.now());
        take(step, &fake, &mut root, &reports);
    }
    assert_eq!(fake.advance(number("until", 60_000) - fake.now()), 0, "all has come to an end");

    if let Some(expected) = vector["requests"].as_array() {
        let expected: Vec<_> = expected
            .iter()
            .map(|made| {
                (made["at"].as_u64().unwrap(), made["request"].as_str().unwrap().to_owned(), expand(&made["rows"]))
            })
            .collect();
        let requests: Vec<_> = fake
            .requests()
            .iter()
            .map(|made| {
                let request = made.url.replace("http://opik.test/api", "POST ");
                (made.at, request, made.names().into_iter().map(str::to_owned).collect())
            })
            .collect();
        assert_eq!(requests, expected);
    }
    for (name, report) in vector["reports"].as_object().into_iter().flatten() {
        let mut expected = json!({ "at": 0, "sent": 0, "kept": 0, "retried": 0, "requests": 0, "dropped": {} });
        for (key, value) in report.as_object().unwrap() {
            expected[key] = value.clone();
        }
        assert_eq!(reports.borrow()[name], expected, "{name}");
    }
    let mut dropped = last.borrow().dropped.clone();
    dropped.sort_unstable();
    let expected: BTreeMap<&str, u64> = vector["dropped"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|_| vector["of"] == "invocation")
        .map(|(reason, rows)| (reason.as_str(), rows.as_u64().unwrap()))
        .collect();
    assert!(
        dropped.iter().map(|(reason, rows)| (*reason, u64::from(*rows))).eq(expected.clone()),
        "{dropped:?} {expected:?}"
    );
}

/// Plays one step: records rows, begins a flush, or ends the recording.
fn take(step: &Value, fake: &Fake, root: &mut Option<Root<Fake>>, reports: &Rc<RefCell<BTreeMap<String, Value>>>) {
    let text = "x".repeat(usize::try_from(step["bytes"].as_u64().unwrap_or(0)).unwrap() / 2);
    for name in expand(&step["rows"]) {
        assert_eq!(step["record"], "spans");
        let mut span = root.as_ref().unwrap().begin(&name);
        if !text.is_empty() {
            span.input(&text).output(&text);
        }
    }
    if let Some(name) = step["flush"].as_str() {
        let flushing = root.as_ref().unwrap().flush(step["timeout_ms"].as_u64().unwrap());
        let (name, reports, fake_of_task) = (name.to_owned(), Rc::clone(reports), fake.clone());
        fake.spawn(async move {
            let report = flushing.await;
            reports.borrow_mut().insert(name, told(fake_of_task.now(), &report));
        });
    }
    if step["end"] == "invocation" {
        drop(root.take());
        fake.advance(0);
    }
}

#[test]
fn the_vectors_of_delivery() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../vectors/delivery.json")).unwrap();
    let mut left_out: Vec<&str> = LEFT_OUT.iter().flat_map(|(_, names)| names.iter().copied()).collect();
    for vector in &vectors {
        let name = vector["name"].as_str().unwrap();
        let before = left_out.len();
        left_out.retain(|other| *other != name);
        if left_out.len() == before {
            println!("delivery: {name}");
            play(vector);
        }
    }
    assert!(left_out.is_empty(), "there are no such vectors: {left_out:?}");
}

#[test]
fn an_upload_names_its_service() {
    for (is_relay, service, sender) in [(false, "shop; eu", Some("shop; eu")), (false, "", None), (true, "shop", None)]
    {
        let fake = Fake::new();
        let url = "http://opik.test/api".into();
        let settings = Settings { url, is_relay, service: service.into(), ..Settings::default() };
        let root = Client::new(fake.clone(), settings).begin("root");
        let delivered = root.delivered();
        drop(root);
        fake.run(delivered);
        let made = fake.requests().pop().unwrap();
        let found = made.headers.iter().find(|(name, _)| *name == "x-opik-edge").map(|(_, value)| value.as_str());
        assert_eq!(found.map(str::to_owned), sender.map(|name| format!("{}; rust; {name}", env!("CARGO_PKG_VERSION"))));
    }
    let settings = Settings { service: "sch\u{f6}n".into(), url: "http://opik.test".into(), ..Settings::default() };
    assert!(settings.problem().is_some_and(|problem| problem.contains("OPIK_SERVICE")));
}
