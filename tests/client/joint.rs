//! Deliveries that the roots of a client share.

use opik_edge::client::{Client, Report, Settings};

use crate::fake::{Fake, Made, Reply};

fn client(fake: &Fake) -> Client<Fake> {
    Client::new(fake.clone(), Settings { url: "http://opik.test/api".into(), ..Settings::default() })
}

/// The names of the spans in each request for spans.
fn spans(requests: &[Made]) -> Vec<Vec<&str>> {
    requests.iter().filter(|made| made.url.ends_with("/spans/batch")).map(Made::names).collect()
}

/// A root that has ended; its delivery is a task.
fn end(fake: &Fake, client: &Client<Fake>, name: &str) {
    let root = client.begin(name);
    let delivered = root.delivered_jointly();
    fake.spawn(async move {
        delivered.await;
    });
    drop(root);
    fake.advance(0);
}

#[test]
fn roots_that_end_meanwhile_go_along() {
    let fake = Fake::new();
    fake.answer([], Reply { after_ms: 10, ..Reply::of(204) });
    let client = client(&fake);
    end(&fake, &client, "a");
    end(&fake, &client, "b");
    assert_eq!(fake.requests().len(), 0);
    fake.advance(100);
    for name in ["c", "d"] {
        end(&fake, &client, name);
    }
    fake.advance(9);
    assert_eq!(spans(&fake.requests()), [["a", "b"]], "one delivery is under way");
    assert_eq!(fake.advance(1000), 0);
    assert_eq!(spans(&fake.requests()), [["a", "b"], ["c", "d"]]);
    assert_eq!(fake.requests().len(), 4, "traces and spans, twice");
    end(&fake, &client, "e");
    fake.advance(1000);
    assert_eq!(spans(&fake.requests())[2..], [["e"]]);
    assert_eq!(fake.warnings(), [""; 0]);
}

#[test]
fn each_row_is_in_the_report_of_one_root() {
    let fake = Fake::new();
    let client = client(&fake);
    let roots = [client.begin("a"), client.begin("b")];
    let (first, second) = (roots[0].delivered_jointly(), roots[1].delivered_jointly());
    drop(roots);
    let reports = [fake.run(first), fake.run(second)];
    assert_eq!(reports.each_ref().map(|report| report.sent), [2, 2]);
    assert_eq!(reports.each_ref().map(|report| report.dropped.len()), [0, 0]);
    assert_ne!(reports[0], Report::default());
}

#[test]
fn a_delivery_that_is_dropped_leaves_the_turn_to_the_next() {
    let fake = Fake::new();
    fake.answer([], Reply { status: None, ..Reply::of(0) });
    let client = client(&fake);
    let root = client.begin("a");
    let mut hanging = Box::pin(root.delivered_jointly());
    drop(root);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    fake.advance(100);
    assert!(hanging.as_mut().poll(&mut context).is_pending());
    assert_eq!(spans(&fake.requests()), [["a"]]);
    drop(hanging);
    assert_eq!(fake.warnings(), ["2 rows are lost: nobody waited for the delivery"]);

    fake.answer([], Reply::of(204));
    end(&fake, &client, "b");
    fake.advance(1000);
    assert_eq!(spans(&fake.requests()), [["a"], ["b"]]);
}

#[test]
fn requests_stay_within_the_limits() {
    let fake = Fake::new();
    fake.answer([], Reply { after_ms: 10, ..Reply::of(204) });
    let settings = Settings { url: "http://opik.test/api".into(), max_body_bytes: 32 * 1024, ..Settings::default() };
    let client = Client::new(fake.clone(), settings);
    for name in ["first", "a", "b", "c"] {
        let mut root = client.begin(name);
        root.input(&"x".repeat(12_000));
        let delivered = root.delivered_jointly();
        fake.spawn(async move {
            delivered.await;
        });
        drop(root);
    }
    fake.advance(1000);
    let requests = fake.requests();
    let mut sent = spans(&requests);
    sent.sort_unstable();
    assert_eq!(sent, [["b", "c"], ["first", "a"]]);
}

#[test]
fn a_backend_that_fails_costs_only_what_it_was_sent() {
    let fake = Fake::new();
    fake.answer([Reply::of(401), Reply::of(401)], Reply::of(204));
    let client = client(&fake);
    end(&fake, &client, "a");
    fake.advance(150);
    end(&fake, &client, "b");
    fake.advance(60_000);
    assert_eq!(fake.warnings(), ["2 rows are lost: unauthorized", "2 rows are lost: circuit_open"]);
    end(&fake, &client, "c");
    fake.advance(60_000);
    assert_eq!(spans(&fake.requests()).last().unwrap(), &["c"]);
}

#[test]
fn rows_beyond_eight_megabytes_are_not_kept() {
    let fake = Fake::new();
    fake.answer([], Reply { status: None, ..Reply::of(0) });
    let client = client(&fake);
    for _ in 0..400 {
        let mut root = client.begin("root");
        root.input(&"x".repeat(12_000));
        let delivered = root.delivered_jointly();
        fake.spawn(async move {
            delivered.await;
        });
        drop(root);
        fake.advance(0);
    }
    let lost = fake.warnings().iter().filter(|warning| warning.contains("buffer_full")).count();
    assert!(lost > 0 && fake.warnings().len() == lost, "{:?}", fake.warnings());
}
