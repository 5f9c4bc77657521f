#!/bin/sh
# Refresh the API reference page's assets from npm: scripts/vendor-docs-assets.sh [version]
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
target="$here/eventspine/api/static/swagger-ui"
version=${1:-$(sed -n 's/^| `swagger-ui\/` | `swagger-ui-dist` | \([0-9.]*\) .*/\1/p' "$target/../VENDORED.md")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent "swagger-ui-dist@$version" >/dev/null
tar xzf "swagger-ui-dist-$version.tgz"
for file in swagger-ui-bundle.js swagger-ui.css favicon-32x32.png LICENSE NOTICE \
    swagger-ui-bundle.js.LICENSE.txt; do
    cp "package/$file" "$target/$file"
    chmod 644 "$target/$file"
done
sed -i "s/^\(| \`swagger-ui\/\` | \`swagger-ui-dist\` |\) [0-9.]*/\1 $version/" "$target/../VENDORED.md"
echo "swagger-ui-dist $version -> $target"
