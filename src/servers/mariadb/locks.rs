//! Locks of a site by their names.

use mysql::Conn;

use super::statements::row;
use crate::error::Result;

/// Takes a lock of this site by its name, held until the connection ends, however it ends. False:
/// another connection has it, and kept it for so many seconds.
pub fn take_lock(connection: &mut Conn, name: &str, seconds: u32) -> Result<bool> {
    let sql = "SELECT GET_LOCK(CONCAT('memora-', ?, '|', DATABASE()), ?)";
    Ok(row::<Option<u8>>(connection, sql, (name, seconds))?.flatten() == Some(1))
}

/// Whether some connection has a lock of this site.
pub fn is_locked(connection: &mut Conn, name: &str) -> Result<bool> {
    let sql = "SELECT IS_FREE_LOCK(CONCAT('memora-', ?, '|', DATABASE()))";
    Ok(row::<Option<u8>>(connection, sql, (name,))?.flatten() == Some(0))
}
