-- Tables, strings, coroutines, files and garbage collection.
local t = {}
for i = 1, 300000 do t[i] = (i * 7919) % 100003 end
table.sort(t)
print(t[1], t[150000], t[300000])
local co = coroutine.wrap(function() for i = 1, 5 do coroutine.yield(i * i) end end)
print(co(), co(), co(), co(), co())
local s = {}
for i = 1, 20000 do s[#s + 1] = string.format("%05d:%x", i, i * 31) end
local joined = table.concat(s, ",")
print(#joined, joined:gsub("1", "one"):sub(1, 60), select(2, joined:gsub("%d+", "")))
local f = assert(io.open("out.txt", "w"))
for i = 1, 1000 do f:write(i, "\n") end
f:close()
local sum = 0
for line in io.lines("out.txt") do sum = sum + tonumber(line) end
print(sum, os.rename("out.txt", "renamed.txt"), io.open("missing"))
for _ = 1, 50 do local g = {} for i = 1, 10000 do g[i] = { i } end end
collectgarbage()
print(math.floor(collectgarbage("count")) < 100000, 2 ^ 53, 7 // 2, 1 / 0, -7 % 3, math.pi)
