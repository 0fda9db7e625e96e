"""decimal and fractions: pi and e to many places."""
from decimal import Decimal as D, getcontext
from fractions import Fraction as F
import math
getcontext().prec = 1500
def pi():
    three, lasts, t, s, n, na, d, da = D(3), 0, D(3), D(3), 1, 0, 0, 24
    while s != lasts:
        lasts = s; n, na = n + na, na + 8; d, da = d + da, da + 32; t = (t * n) / d; s += t
    return +s
print(pi()); print(D(2).sqrt()); print(D(1).exp()); print(D(10).ln())
print(sum(F(1, n) for n in range(1, 300))); print(math.factorial(500)); print(pow(3, 10**6, 10**30 + 57))
print(0.1 + 0.2, math.fsum([0.1] * 10), (1 << 2000) % 997, float("inf"), round(2.675, 2))
