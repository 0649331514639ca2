//! Numbers in a few bytes, for the log of answers and for what a submission replaced. Pure.
//!
//! docs/how-it-works.md describes the format.

/// Appends a number: seven bits a byte, the lowest first; each byte but the last has the eighth.
pub(super) fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Appends a signed number; small ones of either sign are short.
pub(super) fn push_signed(bytes: &mut Vec<u8>, number: i64) {
    push_number(bytes, (number << 1 ^ number >> 63).cast_unsigned());
}

/// Reads numbers from bytes; `bytes` is the rest.
pub(super) struct Reader<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or("it is cut off")?;
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u64, String> {
        let mut number = 0u64;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err("a number in it is too large".to_owned())
    }

    pub(super) fn signed(&mut self) -> Result<i64, String> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_round_trip(number: u64, signed: i64) {
            let mut bytes = Vec::new();
            push_number(&mut bytes, number);
            push_signed(&mut bytes, signed);
            let mut reader = Reader { bytes: &bytes };
            prop_assert_eq!((reader.number(), reader.signed()), (Ok(number), Ok(signed)));
        }
    }
}
