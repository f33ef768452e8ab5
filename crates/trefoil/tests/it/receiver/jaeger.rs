//! Jaeger's collector and agent as a receiver sees them: a reader of Thrift, written from
//! its two encodings alone, that knows no message of Jaeger's.

use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Any value of Thrift. Fields of a struct are known by their numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Thrift {
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Vec<u8>),
    List(Vec<Thrift>),
    Struct(BTreeMap<i16, Thrift>),
}

impl Thrift {
    /// A field of a struct that is there.
    #[track_caller]
    pub(crate) fn field(&self, number: i16) -> &Thrift {
        self.get(number).unwrap_or_else(|| panic!("no field {number} in {self:?}"))
    }

    /// A field of a struct.
    pub(crate) fn get(&self, number: i16) -> Option<&Thrift> {
        match self {
            Thrift::Struct(fields) => fields.get(&number),
            other => panic!("not a struct: {other:?}"),
        }
    }

    pub(crate) fn text(&self) -> String {
        match self {
            Thrift::Bytes(bytes) => String::from_utf8(bytes.clone()).unwrap(),
            other => panic!("not text: {other:?}"),
        }
    }

    pub(crate) fn int(&self) -> i64 {
        match self {
            Thrift::Int(value) => *value,
            other => panic!("not an integer: {other:?}"),
        }
    }

    pub(crate) fn list(&self) -> &[Thrift] {
        match self {
            Thrift::List(items) => items,
            other => panic!("not a list: {other:?}"),
        }
    }

    /// Jaeger's tags: 1 key, 2 kind, and a field of that kind.
    pub(crate) fn tags(&self) -> BTreeMap<String, Thrift> {
        let tag = |tag: &Thrift| {
            let value = tag.field(3 + i16::try_from(tag.field(2).int()).unwrap());
            (tag.field(1).text(), value.clone())
        };
        self.list().iter().map(tag).collect()
    }
}

/// A struct in Thrift's binary protocol.
pub(crate) fn read_binary(bytes: &[u8]) -> Thrift {
    let mut reader = Reader { rest: bytes };
    let read = reader.binary(12);
    assert!(reader.rest.is_empty(), "{} bytes too many", reader.rest.len());
    read
}

/// A message in Thrift's compact protocol: the method's name, its kind and its arguments.
pub(crate) fn read_compact_message(bytes: &[u8]) -> (String, u8, Thrift) {
    let mut reader = Reader { rest: bytes };
    assert_eq!(reader.byte(), 0x82, "the compact protocol");
    let kind_and_version = reader.byte();
    assert_eq!(kind_and_version & 0x1f, 1, "version 1");
    let _sequence = reader.varint();
    let length = reader.varint();
    let name = String::from_utf8(reader.take(length as usize).to_vec()).unwrap();
    let arguments = reader.compact(12);
    assert!(reader.rest.is_empty(), "{} bytes too many", reader.rest.len());
    (name, kind_and_version >> 5, arguments)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (head, rest) = self.rest.split_at_checked(count).expect("Thrift ends too early");
        self.rest = rest;
        head
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn big_endian(&mut self, width: usize) -> i64 {
        let bytes = self.take(width);
        let start = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
        bytes.iter().fold(start, |value, byte| value << 8 | i64::from(*byte))
    }

    fn binary(&mut self, kind: u8) -> Thrift {
        match kind {
            2 => Thrift::Bool(self.byte() == 1),
            3 => Thrift::Int(self.big_endian(1)),
            4 => Thrift::Double(f64::from_bits(self.big_endian(8) as u64)),
            6 => Thrift::Int(self.big_endian(2)),
            8 => Thrift::Int(self.big_endian(4)),
            10 => Thrift::Int(self.big_endian(8)),
            11 => {
                let length = self.big_endian(4);
                Thrift::Bytes(self.take(usize::try_from(length).unwrap()).to_vec())
            }
            12 => {
                let mut fields = BTreeMap::new();
                loop {
                    let kind = self.byte();
                    if kind == 0 {
                        return Thrift::Struct(fields);
                    }
                    let number = self.big_endian(2) as i16;
                    let value = self.binary(kind);
                    assert!(fields.insert(number, value).is_none(), "field {number} came twice");
                }
            }
            15 => {
                let kind = self.byte();
                let count = self.big_endian(4);
                Thrift::List((0..count).map(|_| self.binary(kind)).collect())
            }
            other => panic!("Thrift's binary protocol has no type {other}"),
        }
    }

    fn varint(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte();
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return value;
            }
        }
        panic!("a varint of more than ten bytes")
    }

    fn zigzag(&mut self) -> i64 {
        let value = self.varint();
        (value >> 1) as i64 ^ -((value & 1) as i64)
    }

    fn compact(&mut self, kind: u8) -> Thrift {
        match kind {
            // Within a list; in a struct the field's type is the value.
            1 | 2 => Thrift::Bool(self.byte() == 1),
            3 => Thrift::Int(self.big_endian(1)),
            4..=6 => Thrift::Int(self.zigzag()),
            7 => Thrift::Double(f64::from_le_bytes(self.take(8).try_into().unwrap())),
            8 => {
                let length = self.varint();
                Thrift::Bytes(self.take(length as usize).to_vec())
            }
            9 => {
                let head = self.byte();
                let count = if head >> 4 == 15 { self.varint() } else { u64::from(head >> 4) };
                Thrift::List((0..count).map(|_| self.compact(head & 0x0f)).collect())
            }
            12 => self.compact_struct(),
            other => panic!("Thrift's compact protocol has no type {other}"),
        }
    }

    fn compact_struct(&mut self) -> Thrift {
        let mut fields = BTreeMap::new();
        let mut number = 0i16;
        loop {
            let head = self.byte();
            if head == 0 {
                return Thrift::Struct(fields);
            }
            number = match head >> 4 {
                0 => self.zigzag() as i16,
                delta => number + i16::from(delta),
            };
            let value = match head & 0x0f {
                1 => Thrift::Bool(true),
                2 => Thrift::Bool(false),
                kind => self.compact(kind),
            };
            assert!(fields.insert(number, value).is_none(), "field {number} came twice");
        }
    }
}

/// Jaeger's agent: takes packets on a UDP port of this machine.
pub(crate) struct Agent {
    port: u16,
    packets: Arc<Mutex<Vec<Vec<u8>>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    pub(crate) fn start() -> Agent {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let packets: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (into, until) = (Arc::clone(&packets), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut packet = vec![0; 70_000];
            while !until.load(Ordering::SeqCst) {
                if let Ok(length) = socket.recv(&mut packet) {
                    into.lock().unwrap().push(packet[..length].to_vec());
                }
            }
        });
        Agent { port, packets, stop, thread: Some(thread) }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Packets as they came.
    pub(crate) fn packets(&self) -> Vec<Vec<u8>> {
        self.packets.lock().unwrap().clone()
    }

    /// The batches in them.
    pub(crate) fn batches(&self) -> Vec<Thrift> {
        let batch = |packet: Vec<u8>| {
            let (name, kind, arguments) = read_compact_message(&packet);
            assert_eq!((name.as_str(), kind), ("emitBatch", 4), "one way");
            arguments.field(1).clone()
        };
        self.packets().into_iter().map(batch).collect()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
