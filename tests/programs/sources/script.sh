# Read by a shell from its standard input: builtins only.
set -e
total=0
for word in a bb ccc; do
  total=$((total + ${#word}))
done
echo "total $total"
case "$total" in
  6) echo six ;;
  *) echo other ;;
esac
echo text > file
read -r line < file
echo "line: $line"
