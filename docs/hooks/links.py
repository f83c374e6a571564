"""Links of the site to files of the repository.

Pages link to files outside of docs/ by relative path, which works in a clone and on
GitHub. On the site these links lead to the repository.
"""

import posixpath
import re

LINK = re.compile(r'\[([^\]]*)\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)')


def on_page_markdown(markdown, page, config, **_):
    """Returns the page with links below `repo_url` in place of links out of docs/.

    Without a `repo_url`, the text of such a link remains.
    """

    def on_site(link):
        text, target, anchor = link.groups()
        path = posixpath.join(posixpath.dirname(page.file.src_uri), target)
        inside, _, path = posixpath.normpath(path).partition('../')
        if inside:
            return link[0]
        if not config.repo_url:
            return text
        return f'[{text}]({config.repo_url.rstrip("/")}/blob/main/{path}{anchor or ""})'

    return LINK.sub(on_site, markdown)
