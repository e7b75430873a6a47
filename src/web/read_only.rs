//! A page for who may only look: the same page without what can be pressed.
//!
//! Taken out of the finished page, in one place, so that no button that is ever added to a template
//! can be forgotten. The templates are ours, and everything from outside is escaped in them: a tag
//! that stands in the text is one that they have.

/// What can be pressed: from where such a tag begins to its end.
const PRESSED: [(&str, &str, &str); 2] =
    [("<form", "method=\"post\"", "</form>"), ("<details", "class=\"ask\"", "</details>")];
/// Signing out is for everybody.
const FOR_ALL: &str = "action=\"/logout\"";

/// The page without the forms that do something.
pub fn without_buttons(page: &str) -> String {
    let mut left = page;
    let mut kept = String::with_capacity(page.len());
    while let Some((at, end)) = next_pressed(left) {
        kept.push_str(&left[..at]);
        left = &left[end..];
    }
    kept.push_str(left);
    kept
}

/// Where the next one begins and ends.
fn next_pressed(page: &str) -> Option<(usize, usize)> {
    let first = |(begins, marked, ends): (&str, &str, &str)| {
        page.match_indices(begins).find_map(|(at, _)| {
            let tag = page[at..].split('>').next()?;
            let pressed = tag.contains(marked) && !tag.contains(FOR_ALL);
            let end = page[at..].find(ends).map_or(page.len(), |end| at + end + ends.len());
            pressed.then_some((at, end))
        })
    };
    PRESSED.into_iter().filter_map(first).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_gone_and_what_finds_and_signs_out_stays() {
        let page = "<p>a</p><form class=\"x\" method=\"post\" action=\"/drain\"><button>Drain</button>\
            </form><form method=\"get\"><button>Go</button></form><details class=\"ask\"><summary>\
            Abort</summary><form method=\"post\"><button>Yes</button></form></details><details>\
            <pre>log</pre></details><form method=\"post\" action=\"/logout\"></form>b";
        let left = "<p>a</p><form method=\"get\"><button>Go</button></form><details><pre>log</pre>\
            </details><form method=\"post\" action=\"/logout\"></form>b";
        assert_eq!(without_buttons(page), left);
        assert_eq!(without_buttons("<form method=\"post\"><p>no end"), "");
    }
}
