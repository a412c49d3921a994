//! The meaning of the members of an answer. Each format is a table of steps, and this file reads all of them. Next:
//! [`super::answer`].

use super::answer::{Answer, Kind, Part};
use super::part::{call, part, text};
use super::value::{Names, Value, cut_last, is_in, names, position};

/// The members of an object that mean something. The steps are taken in this order, whatever the order of the members.
/// One without a name is a further step for the member before it, or for the object itself.
pub(super) type Steps = &'static (&'static [u8], &'static [Step]);

/// A table of steps, each behind the name of its member.
macro_rules! steps {
    ($(($name:literal, $step:expr $(,)?)),* $(,)?) => {{
        const TABLE: $crate::llm::steps::Steps =
            &($crate::llm::value::names!(concat!($($name, " "),*)), &[$($step),*]);
        const _: () = assert!(TABLE.1.len() <= $crate::llm::steps::MAX_STEPS);
        TABLE
    }};
}
pub(super) use steps;

/// Steps for the types or the names of events.
pub(super) type Cases = &'static [(&'static [u8], Steps)];

/// The steps for an event of this type or name.
pub(super) fn steps_of(cases: Cases, kind: &[u8]) -> Option<Steps> {
    cases.iter().find(|(kinds, _)| is_in(kinds, kind)).map(|(_, steps)| *steps)
}

/// A format.
pub(super) struct Shape {
    /// Where a row says it is from, and what kind of call it is; the second may be empty.
    pub names: [&'static str; 2],
    /// Members of the request that go into the input.
    pub input: &'static [u8],
    /// Of an event.
    pub cases: Cases,
    /// Of an answer in one piece, and of any other event.
    pub steps: Steps,
}

/// As many as there may be in a table.
pub(super) const MAX_STEPS: usize = 17;
/// Google's reasons for giving no text.
const BLOCKED: &[u8] = names!("SAFETY RECITATION BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY");
/// Range of keys for the pieces of one item of a response.
const ITEM_KEYS: u32 = 1024;

/// The meaning of a member of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// The model that has answered: the first that is named, the last, or a path that ends with it.
    Model,
    LastModel,
    ModelPath,
    /// A member of the metadata, under its own name or another.
    Note,
    NoteAs(&'static &'static str),
    /// The whole usage.
    Usage,
    /// Counters that replace counters of the same names.
    Counts,
    /// Counters that count only if there are none yet.
    SpareCounts,
    /// One counter, under its own name or another.
    Count,
    CountAs(&'static &'static str),
    /// The choice that the following members belong to.
    Index,
    /// The part of a message that the following members belong to; the item of a response, and the part of the item.
    Key,
    ItemKey,
    InnerKey,
    /// There is such a choice.
    Choice,
    /// More of a text.
    Append(Kind),
    /// A value of no other kind.
    Other,
    /// More of a thought, unless it came under another name already.
    Thought,
    /// A text or parts that continue the text so far.
    Content,
    /// Parts, each by itself.
    Blocks,
    /// A part that has begun.
    Block,
    /// Parts of tool calls.
    Calls,
    /// A part of the one tool call of a message.
    Function,
    AudioId,
    /// The reason for which the choice ended.
    Finish,
    /// The same, where that may be why it has no text.
    Blocked,
    /// An item of a response that has begun, an item that is whole, and all items.
    NewItem,
    Item,
    Items,
    /// The status of a response.
    Status,
    Embedding,
    Embeddings,
    /// The description of an error event.
    Failure,
    /// Nothing of importance comes any more; or if it is true.
    Terminal,
    TerminalIfTrue,
    /// Steps within the object, or within each element of the array.
    In(Steps),
    Each(Steps),
}

/// Where in an answer.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Position {
    choice: u32,
    key: u32,
}

/// Takes the steps that there are members for.
#[inline(never)]
pub(super) fn take(steps: Steps, object: Value<'_>, mut at: Position, out: &mut Answer) {
    let (names, steps) = *steps;
    let mut found = [object.none(); MAX_STEPS];
    for (name, value) in object.members() {
        if let Some(slot) = found.get_mut(position(names, name)) {
            *slot = value.unless_null();
        }
    }
    let mut value = object;
    let mut has_thought = false;
    for ((name, step), found) in Names(names).zip(steps).zip(found) {
        if !name.is_empty() {
            value = found;
        }
        if value.is_none() {
            continue;
        }
        let index = || value.index().unwrap_or(0);
        match *step {
            Step::Model => out.model(value.content()),
            Step::LastModel => {
                if !value.content().is_empty() {
                    out.model.clear();
                }
                out.model(value.content());
            }
            Step::ModelPath => out.model(cut_last(value.content(), b'/').0),
            Step::Note => out.note(name, value),
            Step::NoteAs(name) => out.note(name.as_bytes(), value),
            Step::Usage => out.usage(value),
            Step::Counts => out.usage.merge(value),
            Step::SpareCounts if out.usage.is_empty() => out.usage.merge(value),
            Step::Count => out.usage.count(name, value),
            Step::CountAs(name) => out.usage.count(name.as_bytes(), value),
            Step::Index => at.choice = index(),
            Step::Key => at.key = index(),
            Step::ItemKey => at.key = index().saturating_mul(ITEM_KEYS),
            Step::InnerKey => at.key = at.key.saturating_add(index().min(ITEM_KEYS.wrapping_sub(1))),
            Step::Choice => out.choice(at.choice),
            Step::Append(kind) => out.append(at.choice, kind, at.key, value),
            Step::Other => out.part(at.choice, at.key, &text(Kind::Other, value)),
            Step::Thought if !value.content().is_empty() && !has_thought => {
                has_thought = true;
                out.append(at.choice, Kind::Reasoning, at.key, value);
            }
            Step::Content if value.is_array() => {
                value.elements().for_each(|element| take_part(element, at, out));
            }
            Step::Content => out.append(at.choice, Kind::Text, at.key, value),
            Step::Blocks => {
                out.choice(at.choice);
                for (key, block) in (0..).zip(value.elements()) {
                    out.part(at.choice, key, &part(block));
                }
            }
            Step::Block => {
                // The arguments of a call come piece by piece, and `{}` stands for those that are still to come.
                let part = part(value);
                let is_empty = part.kind == Kind::Call && part.value.text() == b"{}";
                let value = if is_empty { value.none() } else { part.value };
                out.part(at.choice, at.key, &Part { value, ..part });
            }
            Step::Calls => {
                for element in value.elements() {
                    out.call(at.choice, element.member("index").index(), &call(element));
                }
            }
            Step::Function => out.call(at.choice, Some(0), &call(value)),
            Step::AudioId => out.audio_id(at.choice, value),
            Step::Finish => out.finish(at.choice, value),
            Step::Blocked if is_in(BLOCKED, value.content()) => out.refuse(at.choice, value),
            // An item that is only announced comes again.
            Step::NewItem if part(value).kind == Kind::Other && value.any(names!("content summary")).is_none() => {}
            Step::NewItem => take_item(value, at, out),
            Step::Item => {
                out.forget(at.key..at.key.saturating_add(ITEM_KEYS));
                take_item(value, at, out);
            }
            Step::Items => {
                for (item, index) in value.elements().zip(0_u32..) {
                    if index == 0 {
                        out.restart();
                    }
                    take_item(item, Position { key: index.saturating_mul(ITEM_KEYS), ..at }, out);
                }
            }
            Step::Status => match position(names!("in_progress queued"), value.content()) {
                0 => {}
                // Those that run in the background have not answered yet.
                1 => out.note(b"status", value),
                _ => out.finish(at.choice, value),
            },
            Step::Embedding => out.embedding(value),
            Step::Embeddings => value.elements().for_each(|element| out.embedding(element)),
            Step::Failure if !out.error(value) => out.fail_with(value),
            Step::Terminal => out.is_terminal = true,
            Step::TerminalIfTrue => out.is_terminal |= value.is_true(),
            Step::In(steps) => take(steps, value, at, out),
            Step::Each(steps) => value.elements().for_each(|element| take(steps, element, at, out)),
            Step::SpareCounts | Step::Thought | Step::Failure | Step::Blocked => {}
        }
    }
}

/// Takes a part that continues the text so far, or a whole call.
fn take_part(element: Value<'_>, at: Position, out: &mut Answer) {
    let part = part(element);
    if part.kind == Kind::Call {
        out.new_call(at.choice, &part);
    } else if part.kind == Kind::Other && element.member("inlineData").or(element.member("image_url")).is_some() {
        out.media(at.choice, at.key, element);
    } else if part.value.is_array() {
        // Mistral's thoughts have parts.
        for inner in part.value.elements() {
            out.append(at.choice, part.kind, at.key, inner.member("text"));
        }
    } else {
        out.part(at.choice, at.key, &part);
    }
}

/// Takes an item of a response.
fn take_item(item: Value<'_>, at: Position, out: &mut Answer) {
    let [content, summary] = item.pick(names!("content summary"));
    match position(names!("message reasoning"), item.member("type").content()) {
        0 => {
            out.choice(at.choice);
            for (key, element) in (at.key..).zip(content.elements()) {
                out.part(at.choice, key, &part(element));
            }
        }
        1 => {
            for thought in summary.elements().chain(content.elements()) {
                out.part(at.choice, at.key, &text(Kind::Reasoning, thought.member("text")));
            }
        }
        _ => out.part(at.choice, at.key, &part(item)),
    }
}
