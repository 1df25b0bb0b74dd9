//! A check for truncated answers.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::AfterDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;

/// Rejects an XML answer that does not end with the end of its first element.
///
/// The SDK accepts a document that is cut anywhere: half of the instances would look like all of them, and a page
/// without its `nextToken` like the last one.
#[derive(Debug)]
pub struct WholeAnswer;

impl Intercept for WholeAnswer {
    fn name(&self) -> &'static str {
        "WholeAnswer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let answer = context.response();
        match answer.body().bytes() {
            Some(body) if answer.status().is_success() && !is_whole(body) => Err("the answer is cut off".into()),
            _ => Ok(()),
        }
    }
}

fn is_whole(document: &[u8]) -> bool {
    let Some(root) = root_element(document) else {
        return false;
    };
    let document = document.trim_ascii_end();
    let is_closed = document
        .strip_suffix(b">")
        .and_then(|rest| rest.trim_ascii_end().strip_suffix(root))
        .is_some_and(|rest| rest.ends_with(b"</"));
    // `<Root/>` is complete too.
    is_closed || document.ends_with(b"/>") && elements(document) == 1
}

/// The name of the first element.
fn root_element(document: &[u8]) -> Option<&[u8]> {
    let mut starts = document.iter().enumerate().filter(|(_, byte)| **byte == b'<').map(|(at, _)| &document[at + 1..]);
    let root = starts.find(|rest| !rest.starts_with(b"?") && !rest.starts_with(b"!"))?;
    let length = root.iter().position(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/'))?;
    Some(&root[..length])
}

fn elements(document: &[u8]) -> usize {
    document.windows(2).filter(|pair| pair[0] == b'<' && !matches!(pair[1], b'?' | b'!')).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_whole_or_not() {
        let whole = "<?xml version=\"1.0\"?>\n<!-- c -->\n<R xmlns=\"x\"><a>1</a><R/></R>\n ";
        assert!(is_whole(whole.as_bytes()));
        assert!(is_whole(b"<R></R>"));
        assert!(is_whole(b"<?xml?><R/>"));
        for length in 0..whole.trim_ascii_end().len() {
            assert!(!is_whole(&whole.as_bytes()[..length]), "{}", &whole[..length]);
        }
    }
}
