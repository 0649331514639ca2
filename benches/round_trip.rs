//! Warm reads through the engine beside bare ZRANGEBYSCOREs of the same Redis client, in turn.
//!
//! `benches/compare.py` starts the servers, fills the cache and runs this with the settings as JSON
//! in `MEMORA_ROUND_TRIP`. Prints one JSON object: medians in microseconds, and the median of the
//! ratios.

use std::sync::Arc;
use std::time::{Duration, Instant};

use memora_engine::engine::Engine;
use memora_engine::engine::settings::{PlainSettings, Settings};
use memora_engine::rules::clock::now_us;
use memora_engine::servers::host::Host;
use memora_engine::servers::mariadb::connect::DatabaseAddress;
use memora_engine::students::due::DueQuery;

const ROUNDS: usize = 200;
const CALLS_A_ROUND: usize = 50;

#[derive(serde::Deserialize)]
struct Servers {
    site: String,
    cache_url: String,
    journal_url: String,
    database_name: String,
    database_user: String,
    database_password: String,
    database_host: String,
    database_port: u16,
    player: String,
    season: String,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Ok(json) = std::env::var("MEMORA_ROUND_TRIP") else {
        println!("run benches/compare.py: it starts the servers that this needs");
        return Ok(());
    };
    let servers: Servers = serde_json::from_str(&json)?;
    let engine = Engine::new(Settings::check(&PlainSettings {
        site: &servers.site,
        cache_url: Some(&servers.cache_url),
        cache_cluster_nodes: &[],
        frappe_cache_url: None,
        frappe_cache_sentinel: None,
        journal_url: Some(&servers.journal_url),
        journal_sentinel: None,
        journal_replicas: 0,
        database: DatabaseAddress {
            host: Arc::new(Host::new(&servers.database_host, servers.database_port)),
            socket: None,
            user: &servers.database_user,
            password: &servers.database_password,
            name: &servers.database_name,
            patience: Duration::from_secs(5),
            tls: None,
        },
        time_zone: "UTC",
        max_questions: 20_000,
        leech_lapses: 8,
        redis_timeout_ms: 1_000,
        cache_ttl_seconds: 604_800,
        trust_lease_ms: 300,
        connection_idle_seconds: 60,
    })?);
    let query = DueQuery { limit: 20, subject: None, topic: None };
    let mut bare = redis::Client::open(servers.cache_url.as_str())?.get_connection()?;
    let key = format!("{}|srs:{}:{}", servers.site, servers.player, servers.season);
    let (mut engine_us, mut bare_us, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    engine.due(&servers.player, &query)?;
    for _ in 0..ROUNDS {
        let mut round = [Vec::new(), Vec::new()];
        for _ in 0..CALLS_A_ROUND {
            let start = Instant::now();
            let answer = engine.due(&servers.player, &query)?;
            round[0].push(start.elapsed().as_secs_f64() * 1e6);
            assert_eq!(answer.reviews.len(), 20, "the cache is not warm, or too little is due");
            let start = Instant::now();
            let found: Vec<(String, f64)> = redis::cmd("ZRANGEBYSCORE")
                .arg(&key)
                .arg("-inf")
                .arg(now_us() / 1_000_000)
                .arg("WITHSCORES")
                .arg("LIMIT")
                .arg(0)
                .arg(20)
                .query(&mut bare)?;
            round[1].push(start.elapsed().as_secs_f64() * 1e6);
            assert_eq!(found.len(), 20);
        }
        let [engine_round, bare_round] = round.map(median);
        ratios.push(engine_round / bare_round);
        engine_us.push(engine_round);
        bare_us.push(bare_round);
    }
    println!(
        r#"{{"engine_us": {:.1}, "bare_us": {:.1}, "ratio": {:.3}}}"#,
        median(engine_us),
        median(bare_us),
        median(ratios)
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
