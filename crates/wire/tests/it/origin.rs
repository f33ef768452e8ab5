//! Attributes, resources and scopes, between the views and prost.

use trefoil_otlp_messages::common::v1::any_value::Value;
use trefoil_otlp_messages::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use trefoil_otlp_messages::resource::v1::Resource;
use trefoil_wire::otlp;
use trefoil_wire::otlp::{Attributes, ResourceWriter, ScopeWriter, ValueWriter};

use crate::random::Random;

pub(crate) fn random_value(random: &mut Random, depth: u32) -> AnyValue {
    let value = match random.below(if depth == 0 { 6 } else { 8 }) {
        0 => None,
        1 => Some(Value::StringValue(random.text())),
        2 => Some(Value::BoolValue(random.bool())),
        3 => Some(Value::IntValue(random.i64())),
        4 => Some(Value::DoubleValue(random.f64())),
        5 => Some(Value::BytesValue(random.bytes())),
        6 => {
            let values = random.list(3, |random| random_value(random, depth - 1));
            Some(Value::ArrayValue(ArrayValue { values }))
        }
        _ => {
            let values = random.list(3, |random| random_attribute(random, depth - 1));
            Some(Value::KvlistValue(KeyValueList { values }))
        }
    };
    AnyValue { value }
}

fn random_attribute(random: &mut Random, depth: u32) -> KeyValue {
    let value = Some(random_value(random, depth));
    KeyValue { key: random.text(), value, ..KeyValue::default() }
}

pub(crate) fn random_attributes(random: &mut Random) -> Vec<KeyValue> {
    random.list(4, |random| random_attribute(random, 3))
}

pub(crate) fn random_resource(random: &mut Random) -> Resource {
    Resource {
        attributes: random_attributes(random),
        dropped_attributes_count: random.u32(),
        ..Resource::default()
    }
}

pub(crate) fn random_scope(random: &mut Random) -> InstrumentationScope {
    InstrumentationScope {
        name: random.text(),
        version: random.text(),
        attributes: random_attributes(random),
        dropped_attributes_count: random.u32(),
    }
}

pub(crate) fn value(view: &otlp::AnyValue<'_>) -> AnyValue {
    let value = match view {
        otlp::AnyValue::Empty => None,
        otlp::AnyValue::Str(text) => Some(Value::StringValue((*text).to_owned())),
        otlp::AnyValue::Bool(flag) => Some(Value::BoolValue(*flag)),
        otlp::AnyValue::Int(number) => Some(Value::IntValue(*number)),
        otlp::AnyValue::Double(number) => Some(Value::DoubleValue(*number)),
        otlp::AnyValue::Bytes(bytes) => Some(Value::BytesValue(bytes.to_vec())),
        otlp::AnyValue::Array(items) => {
            let values = items.iter().map(|item| value(&item.unwrap())).collect();
            Some(Value::ArrayValue(ArrayValue { values }))
        }
        otlp::AnyValue::Map(pairs) => {
            Some(Value::KvlistValue(KeyValueList { values: attributes(*pairs) }))
        }
    };
    AnyValue { value }
}

pub(crate) fn attributes(views: Attributes<'_>) -> Vec<KeyValue> {
    let pairs = views.iter().map(|pair| pair.unwrap());
    pairs
        .map(|pair| KeyValue {
            key: pair.key.to_owned(),
            value: Some(value(&pair.value)),
            ..KeyValue::default()
        })
        .collect()
}

pub(crate) fn resource(view: otlp::Resource<'_>) -> Resource {
    Resource {
        attributes: attributes(view.attributes),
        dropped_attributes_count: view.dropped_attributes_count,
        ..Resource::default()
    }
}

pub(crate) fn scope(view: otlp::Scope<'_>) -> InstrumentationScope {
    InstrumentationScope {
        name: view.name.to_owned(),
        version: view.version.to_owned(),
        attributes: attributes(view.attributes),
        dropped_attributes_count: view.dropped_attributes_count,
    }
}

pub(crate) fn write_value(value: &AnyValue, w: &mut ValueWriter<'_>) {
    match &value.value {
        None => {}
        Some(Value::StringValue(text)) => w.str(text),
        Some(Value::BoolValue(flag)) => w.bool(*flag),
        Some(Value::IntValue(number)) => w.int(*number),
        Some(Value::DoubleValue(number)) => w.double(*number),
        Some(Value::BytesValue(bytes)) => w.bytes(bytes),
        Some(Value::ArrayValue(list)) => w.array(|w| {
            for item in &list.values {
                w.item(|w| write_value(item, w));
            }
        }),
        Some(Value::KvlistValue(list)) => w.map(|w| {
            for pair in &list.values {
                w.pair(&pair.key, |w| write_value(pair.value.as_ref().unwrap(), w));
            }
        }),
        Some(other) => panic!("{other:?} is never made"),
    }
}

/// Writes attributes by a writer's own method.
pub(crate) fn each_attribute<W>(
    attributes: &[KeyValue],
    w: &mut W,
    write: fn(&mut W, &str, &AnyValue),
) {
    for pair in attributes {
        write(w, &pair.key, pair.value.as_ref().unwrap());
    }
}

pub(crate) fn write_resource(resource: &Resource, w: &mut ResourceWriter<'_>) {
    each_attribute(&resource.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
    w.dropped_attributes_count(resource.dropped_attributes_count);
}

pub(crate) fn write_scope(scope: &InstrumentationScope, w: &mut ScopeWriter<'_>) {
    w.name(&scope.name);
    w.version(&scope.version);
    each_attribute(&scope.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
    w.dropped_attributes_count(scope.dropped_attributes_count);
}
