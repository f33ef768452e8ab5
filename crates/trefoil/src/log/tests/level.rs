use super::super::level::{Directives, Levels, parse_level};
use super::*;

#[test]
fn s12_the_most_specific_directive_decides() {
    let check = |directives: &str, target: &str, subsystem: &str, expect: LevelFilter| {
        let levels = Levels::new(directives);
        let is_enabled = |level| levels.enabled(target, subsystem, level);
        let all = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        let most = all.into_iter().filter(|level| is_enabled(*level)).max();
        let most = most.map_or(LevelFilter::OFF, LevelFilter::from_level);
        assert_eq!(most, expect, "{directives} for {target} of {subsystem}");
    };
    check("", "a", "A", LevelFilter::INFO);
    check("debug", "a", "A", LevelFilter::DEBUG);
    check("off", "a", "A", LevelFilter::OFF);
    check("info, hyper=warn", "hyper::proto", "HYPER", LevelFilter::WARN);
    check("info,hyper=warn", "hyperion", "HYPERION", LevelFilter::INFO);
    check("info,images=debug", "hypeman::images::pull", "IMAGES", LevelFilter::DEBUG);
    check("info,IMAGES=debug", "hypeman::images", "images", LevelFilter::DEBUG);
    check("vm-pool=trace", "x", "VM_POOL", LevelFilter::TRACE);
    check("hypeman=warn,images=debug", "hypeman::images", "IMAGES", LevelFilter::DEBUG);
    check("images=debug,hypeman::images=error", "hypeman::images", "IMAGES", LevelFilter::ERROR);
    check("a::b=warn,a::b::c=trace", "a::b::c::d", "B", LevelFilter::TRACE);
    check("a=warn,a=debug", "a", "A", LevelFilter::DEBUG);
    check("warn,debug", "a", "A", LevelFilter::DEBUG);
}

#[test]
fn what_is_no_level_is_said_and_left_out() {
    let (directives, problems) = Directives::parse("loud,images=debug,api=,=warn");
    assert_eq!(directives, Directives::parse("warn,images=debug").0);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("`loud`: `loud` is no level; trace, "), "{problems:?}");
    assert_eq!(parse_level(" Warning "), Some(LevelFilter::WARN));
    assert_eq!(parse_level("FATAL"), Some(LevelFilter::ERROR));
}
