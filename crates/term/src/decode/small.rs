//! Fast paths for small terms in their usual forms: each returns a value and the rest of the input. `None` means any
//! other term, including malformed ones and ones near the end of the input; [`Decoder::leaf`](super::Decoder) reads
//! those and reports errors.

use crate::{Atom, Binary, Float, Tag};

/// Reads an ASCII atom that is stored inline.
#[inline(always)]
pub(super) fn atom(input: &[u8]) -> Option<(Atom, &[u8])> {
    let [tag, len, name @ ..] = input else { return None };
    if Tag(*tag) != Tag::SMALL_ATOM_UTF8_EXT {
        return None;
    }
    let len = usize::from(*len);
    let atom = Atom::from_ascii(len, name.first_chunk()?)?;
    Some((atom, name.get(len..)?))
}

/// Reads a binary that is stored inline.
#[inline(always)]
pub(super) fn binary(input: &[u8]) -> Option<(Binary, &[u8])> {
    let (&[tag, ref len @ ..], bytes) = input.split_first_chunk::<5>()?;
    let len = u32::from_be_bytes(*len) as usize;
    if Tag(tag) != Tag::BINARY_EXT || len > Binary::INLINE {
        return None;
    }
    Some((Binary::inline(len, bytes.first_chunk()?), bytes.get(len..)?))
}

/// Reads a finite float.
#[inline(always)]
pub(super) fn float(input: &[u8]) -> Option<(Float, &[u8])> {
    let (&[tag, ref value @ ..], after) = input.split_first_chunk::<9>()?;
    let value = Float::new(f64::from_be_bytes(*value)).filter(|_| Tag(tag) == Tag::NEW_FLOAT_EXT)?;
    Some((value, after))
}

/// Reads an integer of up to 64 bits in any of its usual forms. Lists mix the forms, so branches would be
/// mispredicted: the function reads every form and selects the right one.
#[inline(always)]
pub(super) fn integer(input: &[u8]) -> Option<(i64, &[u8])> {
    let bytes: &[u8; 11] = input.first_chunk()?;
    let [tag, len, negative, magnitude @ ..] = *bytes;
    let [_, int @ .., _, _, _, _, _, _] = *bytes;
    let bits = 8 * u32::from(len);
    let magnitude = u64::from_le_bytes(magnitude) & !u64::MAX.unbounded_shl(bits);
    let sign = -i64::from(negative != 0);
    let big = (magnitude.cast_signed() ^ sign).wrapping_sub(sign);
    let is_big = tag == Tag::SMALL_BIG_EXT.0 && bits <= 64 && magnitude >> 63 == 0;
    let is_int = tag == Tag::INTEGER_EXT.0;
    let is_byte = tag == Tag::SMALL_INTEGER_EXT.0;
    let value = if is_byte { i64::from(len) } else { i64::from(i32::from_be_bytes(int)) };
    let value = if is_big { big } else { value };
    let length = if is_byte { 2 } else { 5 };
    let length = if is_big { 3 + usize::from(len) } else { length };
    (is_byte | is_int | is_big).then(|| input.get(length..).map(|after| (value, after)))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Term, encode};

    #[test]
    fn integers_are_what_they_were_encoded_from() {
        let edges = (0..64).flat_map(|shift| [1i64 << shift, -1i64 << shift]);
        for value in edges.flat_map(|edge| [edge.wrapping_sub(1), edge, edge.wrapping_add(1)]) {
            let mut input = Vec::new();
            encode::term(&Term::from(value), &mut input);
            let len = input.len();
            input.extend([0xaa; 11]);
            match integer(&input) {
                Some(read) => assert_eq!(read, (value, &input[len..])),
                None => assert_eq!(value, i64::MIN, "only that one is not small"),
            }
        }
    }

    #[test]
    fn what_is_not_small_is_nothing() {
        let big = [&[110, 9, 0][..], &[1; 20]].concat();
        let binary_of_23 = [&[109, 0, 0, 0, 23][..], &[b'a'; 40]].concat();
        let atom_of_23 = [&[119, 23][..], &[b'a'; 40]].concat();
        let infinite = [&[70][..], &f64::INFINITY.to_be_bytes(), &[0; 20]].concat();
        for input in [&big[..], &binary_of_23, &atom_of_23, &infinite, &[97, 1], &[119, 2, b'o', b'k'], &[]] {
            assert_eq!((integer(input), float(input)), (None, None), "{input:?}");
            assert_eq!((atom(input), binary(input)), (None, None), "{input:?}");
        }
    }
}
