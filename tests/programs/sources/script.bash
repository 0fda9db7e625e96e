#!/bin/bash
# A script started by its #! line: builtins only.
echo "$0" "$#" "$2"
f() { local n=$1; ((n < 2)) && REPLY=$n && return; f $((n - 1)); local a=$REPLY; f $((n - 2)); ((REPLY += a)); }
f 15
echo "$REPLY"
declare -a sieve
for ((i = 2; i < 2000; i++)); do
  [[ ${sieve[i]} ]] && continue
  printf '%d ' "$i"
  for ((j = i * i; j < 2000; j += i)); do sieve[j]=1; done
done
echo
