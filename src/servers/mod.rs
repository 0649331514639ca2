//! The servers: connections, the breaker, Redis and MariaDB.

pub mod breaker;
pub mod mariadb;
pub mod pool;
pub mod redis;
