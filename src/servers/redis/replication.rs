//! A server's role in replication.

/// What a server reports of its role in replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replication {
    /// `master` or `slave`, in Redis' words; empty if memora's user may not ask.
    pub role: String,
    /// The replicas that are connected.
    pub replicas: Vec<Replica>,
}

/// A replica, as its primary sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// Host and port.
    pub address: String,
    /// Whether it follows; otherwise it is still receiving a copy.
    pub is_online: bool,
    /// How many written bytes it has not confirmed yet.
    pub lag_bytes: u64,
    /// Seconds since its last confirmation; it sends one each second.
    pub lag_seconds: u64,
}

impl Replication {
    /// Reads the section `replication` of INFO.
    pub fn read(text: &str) -> Replication {
        let mut written = 0;
        let (mut role, mut lines) = (String::new(), Vec::new());
        for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
            match name {
                "role" => value.clone_into(&mut role),
                "master_repl_offset" => written = value.parse().unwrap_or(0),
                // `slave0` and so on; `slave_repl_offset` and the like are a replica's own.
                _ if is_numbered(name) => lines.push(value),
                _ => {}
            }
        }
        let replicas = lines.into_iter().map(|line| Replica::read(line, written)).collect();
        Replication { role, replicas }
    }

    /// Whether it is a primary; false if the role is unknown.
    pub fn is_primary(&self) -> bool {
        self.role == "master"
    }

    /// How many replicas follow.
    pub fn following(&self) -> u32 {
        let count = self.replicas.iter().filter(|replica| replica.is_online).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

fn is_numbered(name: &str) -> bool {
    name.strip_prefix("slave").is_some_and(|number| number.parse::<u32>().is_ok())
}

impl Replica {
    fn read(line: &str, written: u64) -> Replica {
        let of = |wanted| {
            line.split(',')
                .filter_map(|field| field.split_once('='))
                .find_map(|(name, value)| (name == wanted).then_some(value))
                .unwrap_or_default()
        };
        let number = |name| of(name).parse::<u64>().unwrap_or(0);
        Replica {
            address: format!("{}:{}", of("ip"), of("port")),
            is_online: of("state") == "online",
            lag_bytes: written.saturating_sub(number("offset")),
            lag_seconds: number("lag"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_primary_tells_of_its_replicas() {
        let found = Replication::read(
            "# Replication\r\nrole:master\r\nconnected_slaves:2\r\n\
             slave0:ip=10.0.0.2,port=6379,state=online,offset=990,lag=1\r\n\
             slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r\n\
             master_repl_offset:1000\r\n",
        );
        assert!(found.is_primary());
        assert_eq!((found.replicas.len(), found.following()), (2, 1));
        let expected = Replica {
            address: "10.0.0.2:6379".to_owned(),
            is_online: true,
            lag_bytes: 10,
            lag_seconds: 1,
        };
        assert_eq!(found.replicas[0], expected);
    }

    #[test]
    fn a_replica_has_none() {
        let found = Replication::read(
            "role:slave\r\nmaster_host:10.0.0.2\r\nslave_repl_offset:5\r\n\
             slave_priority:100\r\n",
        );
        assert!(!found.is_primary());
        assert_eq!(found.following(), 0);
    }
}
