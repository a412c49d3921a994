//! JavaScript values as serde values, so that [`crate::record`] takes them too. With the feature `serde-wasm-bindgen`.
//! Compiles on every machine; runs where there is JavaScript.

use alloc::vec::Vec;

use js_sys::wasm_bindgen::{JsCast, JsValue};
use js_sys::{Array, ArrayBuffer, BigInt, Function, Map, Object, Reflect, Set, Symbol};
use serde::ser::{Error, Serialize, SerializeMap, SerializeSeq, Serializer};

/// How deep values may be nested, as in `serde_json`: a `toJSON` that always returns another object has no end.
const MAX_DEPTH: usize = 128;

/// A JavaScript value as a serde value, by itself or anywhere inside one.
///
/// Written like `JSON.stringify`: it calls `toJSON` (a `Date`, a `URL`) and leaves out members that are `undefined`,
/// functions or symbols. A `Map` becomes an object, or an array of pairs if a key is not a string; a `Set` becomes an
/// array, and a `BigInt` its text. An `Error` becomes its name, message and cause, and binary data its size
/// (`"[Uint8Array of 12 bytes]"`). A value that contains itself becomes `"[circular]"`. If reading any part throws, the
/// whole value is an error.
///
/// ```no_run
/// use js_sys::wasm_bindgen::JsValue;
/// use opik_edge::{record::Span, value::Js};
///
/// #[derive(serde::Serialize)]
/// struct Answer<'a> {
///     attempts: u32,
///     answer: Js<'a>,
/// }
///
/// fn note(span: &mut Span, question: &JsValue, answer: &JsValue) {
///     span.input(&Js(question)).output(&Answer { attempts: 1, answer: Js(answer) });
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Js<'a>(pub &'a JsValue);

impl Serialize for Js<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Inner { value: self.0, within: None }.serialize(serializer)
    }
}

/// A value, and those that it is inside of.
struct Inner<'a> {
    value: &'a JsValue,
    within: Option<&'a Inner<'a>>,
}

impl Serialize for Inner<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut ancestors = core::iter::successors(self.within, |inner| inner.within);
        if ancestors.clone().any(|ancestor| ancestor.value == self.value) {
            return serializer.serialize_str("[circular]");
        }
        if ancestors.nth(MAX_DEPTH).is_some() {
            return Err(S::Error::custom("nested too deep"));
        }
        let shown = shown(self.value)?;
        if is_left_out(&shown) {
            serializer.serialize_unit()
        } else if let Some(number) = shown.dyn_ref::<BigInt>() {
            serializer.collect_str(number)
        } else if !shown.is_object() {
            let leaf: serde_json::Value = serde_wasm_bindgen::from_value(shown).map_err(S::Error::custom)?;
            leaf.serialize(serializer)
        } else if let Some(items) = shown.dyn_ref::<Array>() {
            self.write_items(items, serializer)
        } else if let Some(map) = shown.dyn_ref::<Map>() {
            let pairs = Array::from(map);
            let has_names = pairs.iter().all(|pair| pair.unchecked_ref::<Array>().get(0).is_string());
            if has_names { self.write_pairs(&pairs, serializer) } else { self.write_items(&pairs, serializer) }
        } else if shown.is_instance_of::<ArrayBuffer>() || ArrayBuffer::is_view(&shown) {
            let name = get(&shown, Symbol::to_string_tag().as_ref())?.as_string().unwrap_or_default();
            let bytes = get(&shown, &"byteLength".into())?.as_f64().unwrap_or_default();
            serializer.collect_str(&format_args!("[{name} of {bytes} bytes]"))
        } else if shown.is_instance_of::<js_sys::Error>() {
            self.write_members(&shown, ["name", "message", "cause"].map(JsValue::from), serializer)
        } else {
            self.write_members(&shown, names(&shown)?, serializer)
        }
    }
}

impl Inner<'_> {
    fn write_items<S: Serializer>(&self, items: &Array, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(None)?;
        for index in 0..items.length() {
            let item = Reflect::get_u32(items, index).map_err(|error| threw(&error))?;
            sequence.serialize_element(&Inner { value: &item, within: Some(self) })?;
        }
        sequence.end()
    }

    fn write_pairs<S: Serializer>(&self, pairs: &Array, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        for pair in pairs.iter() {
            let pair: &Array = pair.unchecked_ref();
            self.write_member::<S>(&mut members, &pair.get(0), &pair.get(1))?;
        }
        members.end()
    }

    fn write_members<S: Serializer>(
        &self,
        object: &JsValue,
        names: impl IntoIterator<Item = JsValue>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        for name in names {
            let value = get(object, &name)?;
            self.write_member::<S>(&mut members, &name, &value)?;
        }
        members.end()
    }

    fn write_member<S: Serializer>(
        &self,
        members: &mut S::SerializeMap,
        name: &JsValue,
        value: &JsValue,
    ) -> Result<(), S::Error> {
        if is_left_out(value) {
            return Ok(());
        }
        let name = name.as_string().unwrap_or_default();
        members.serialize_entry(&name, &Inner { value, within: Some(self) })
    }
}

/// The value that is written in place of `value`; often `value` itself.
fn shown<E: Error>(value: &JsValue) -> Result<JsValue, E> {
    if !value.is_object() {
        return Ok(value.clone());
    }
    if value.is_instance_of::<Set>() {
        return Ok(Array::from(value).into());
    }
    match get(value, &"toJSON".into())?.dyn_ref::<Function>() {
        Some(to_json) => to_json.call0(value).map_err(|error| threw(&error)),
        None => Ok(value.clone()),
    }
}

fn get<E: Error>(object: &JsValue, name: &JsValue) -> Result<JsValue, E> {
    Reflect::get(object, name).map_err(|error| threw(&error))
}

/// The names that `Object.keys` returns. `Object.keys` itself would let a proxy's exception unwind through all Rust
/// code.
fn names<E: Error>(object: &JsValue) -> Result<Vec<JsValue>, E> {
    let object: &Object = object.unchecked_ref();
    let mut names = Vec::new();
    for name in Reflect::own_keys(object).map_err(|error| threw(&error))?.iter().filter(JsValue::is_string) {
        let descriptor = Reflect::get_own_property_descriptor(object, &name).map_err(|error| threw(&error))?;
        if descriptor.is_object() && get(&descriptor, &"enumerable".into())?.is_truthy() {
            names.push(name);
        }
    }
    Ok(names)
}

/// An exception as an error, by what it says.
fn threw<E: Error>(exception: &JsValue) -> E {
    let message = Reflect::get(exception, &"message".into()).unwrap_or_default();
    E::custom(exception.as_string().or_else(|| message.as_string()).as_deref().unwrap_or("an exception"))
}

/// `true` for values that `JSON.stringify` leaves out of objects, and writes as null in arrays.
fn is_left_out(value: &JsValue) -> bool {
    value.is_undefined() || value.is_function() || value.is_symbol()
}
