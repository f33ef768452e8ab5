//! Where telemetry comes from: resource and scope.

use super::attributes::{Attributes, ValueWriter, write_attribute};
use crate::protobuf::{Decode, Reader, Result, Writer};

/// Who emitted the telemetry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Resource<'a> {
    /// Attributes as they came.
    pub attributes: Attributes<'a>,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
}

impl<'a> Decode<'a> for Resource<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut resource = Resource::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => resource.attributes.push(&field, &reader)?,
                2 => resource.dropped_attributes_count = field.u32()?,
                _ => {}
            }
        }
        Ok(resource)
    }
}

/// Which library emitted the telemetry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scope<'a> {
    /// Library name.
    pub name: &'a str,
    /// Library version.
    pub version: &'a str,
    /// Attributes as they came.
    pub attributes: Attributes<'a>,
    /// How many attributes the sender dropped.
    pub dropped_attributes_count: u32,
}

impl<'a> Decode<'a> for Scope<'a> {
    fn decode(mut reader: Reader<'a>) -> Result<Self> {
        let mut scope = Scope::default();
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => scope.name = field.str()?,
                2 => scope.version = field.str()?,
                3 => scope.attributes.push(&field, &reader)?,
                4 => scope.dropped_attributes_count = field.u32()?,
                _ => {}
            }
        }
        Ok(scope)
    }
}

/// Writes a resource.
#[derive(Debug)]
pub struct ResourceWriter<'w>(pub &'w mut Writer);

impl ResourceWriter<'_> {
    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 1, key, fill);
    }

    /// How many attributes were dropped.
    pub fn dropped_attributes_count(&mut self, count: u32) {
        self.0.varint_if_any(2, u64::from(count));
    }
}

/// Writes a scope.
#[derive(Debug)]
pub struct ScopeWriter<'w>(pub &'w mut Writer);

impl ScopeWriter<'_> {
    /// Library name.
    pub fn name(&mut self, name: &str) {
        self.0.str_if_any(1, name);
    }

    /// Library version.
    pub fn version(&mut self, version: &str) {
        self.0.str_if_any(2, version);
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, key: &str, fill: impl FnOnce(&mut ValueWriter<'_>)) {
        write_attribute(self.0, 3, key, fill);
    }

    /// How many attributes were dropped.
    pub fn dropped_attributes_count(&mut self, count: u32) {
        self.0.varint_if_any(4, u64::from(count));
    }
}
