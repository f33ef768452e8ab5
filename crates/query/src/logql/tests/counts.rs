//! Counts by groups of the store are what counting line by line gives.

use trefoil_store::model::{Attribute, LogRecord, Resource, Scope, Value};
use trefoil_store::{Batch, Labels, Settings, Store, Tally};

use crate::Limits;
use crate::logql::{Answer, Params, parse, run};

const START_NS: i64 = 1_780_000_000_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

fn batch(random: &mut Random, rows: u64) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..rows {
        let resource = Resource {
            attributes: vec![Attribute {
                key: "zone".into(),
                value: Value::Str(["a", "b"][random.below(2) as usize].into()),
            }],
            ..Resource::default()
        };
        let resource = batch.resource(&resource);
        let scope = batch.scope(&Scope::default());
        let job = ["x", "y", "z"][random.below(3) as usize];
        let labels =
            Labels::from_pairs([("job", job), ("pod", ["1", "2"][random.below(2) as usize])]);
        let mut attributes = Vec::new();
        if random.below(3) == 0 {
            let value = Value::Int(random.below(3) as i64);
            attributes.push(Attribute { key: "tenant".into(), value });
        }
        // Many at whole seconds: there the windows end.
        let at = random.below(600) * SECOND_NS as u64 + random.below(2) * random.below(999);
        let record = LogRecord {
            time_ns: START_NS as u64 + at,
            severity: [0, 9, 9, 17][random.below(4) as usize],
            body: Value::Str(["level=warn slow", "all is well"][random.below(2) as usize].into()),
            attributes,
            ..LogRecord::default()
        };
        batch.log(resource, scope, &labels, &record);
    }
    batch
}

fn ask(store: &Store, query: &str, params: &Params) -> String {
    let expr = parse(query).expect(query);
    let tally = Tally::unlimited();
    let answer: Answer = run(&store.snapshot(), &expr, params, &Limits::new(&tally)).expect(query);
    format!("{:?} {}", answer.data, answer.stats.lines_matched)
}

#[test]
fn groups_count_what_lines_count() {
    let store = Store::in_memory(Settings::default());
    let random = &mut Random(11);
    for rows in [3000, 2500, 40] {
        store.append(&batch(random, rows)).unwrap();
        if rows > 100 {
            store.flush().unwrap();
        }
    }
    let by = ["()", "(job)", "(detected_level)", "(tenant, job)", "(zone)", "(pod, level)"];
    for n in 0..150 {
        let (range, step) = (1 + random.below(200), 1 + random.below(90));
        let (from, length) = (random.below(400) as i64 - 60, random.below(500) as i64);
        let odd = random.below(2) as i64 * random.below(SECOND_NS as u64) as i64;
        let start_ns = START_NS + from * SECOND_NS + odd;
        let params = Params {
            start_ns,
            step_ns: step as i64 * SECOND_NS,
            instant: random.below(5) == 0,
            ..Params::instant(start_ns + length * SECOND_NS)
        };
        let function = ["count_over_time", "rate", "absent_over_time"][random.below(3) as usize];
        let filter = ["", "|= `slow`"][random.below(2) as usize];
        let offset = ["", " offset 17s", " offset -90s"][random.below(3) as usize];
        let by = by[random.below(by.len() as u64) as usize];
        // A condition that always holds has each line looked at.
        let query = |always: &str| {
            format!("sum by {by} ({function}({{job=~`x|y`}} {filter} {always} [{range}s]{offset}))")
        };
        let (fast, slow) = (query(""), query("| __error__=``"));
        assert_eq!(
            ask(&store, &fast, &params),
            ask(&store, &slow, &params),
            "{n}: {fast} {params:?}"
        );
    }
}
