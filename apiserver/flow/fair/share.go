package fair

import (
	"cmp"
	"slices"
)

// Claim is what one priority level can do with seats: it has at least Least, can use at most Most, and wants Target.
type Claim struct{ Least, Most, Target float64 }

// leastTarget stands for no demand, so that shares can be compared.
const leastTarget = 0.001

// Share divides a number of seats among claims: each gets the same fraction of its Target, within its bounds. It returns the shares and
// that fraction. The bounds must allow it: the sum of Least must not be above seats nor that of Most below; then the nearest division is
// returned.
func Share(seats float64, claims []Claim) (shares []float64, fraction float64) {
	// The sum of shares grows with the fraction, in straight lines between the fractions at which a claim meets a bound.
	shares = make([]float64, len(claims))
	bends := make([]float64, 0, 2*len(claims))
	for i := range claims {
		target := max(claims[i].Target, leastTarget)
		bends = append(bends, claims[i].Least/target, claims[i].Most/target)
	}
	slices.SortFunc(bends, cmp.Compare)
	at := func(fraction float64) (sum float64) {
		for i := range claims {
			shares[i] = min(claims[i].Most, max(claims[i].Least, fraction*max(claims[i].Target, leastTarget)))
			sum += shares[i]
		}
		return sum
	}
	low, lowSum := 0.0, at(0)
	if lowSum >= seats {
		return shares, 0
	}
	for _, high := range bends {
		sum := at(high)
		if sum < seats {
			low, lowSum = high, sum
			continue
		}
		if sum > lowSum {
			low += (high - low) * (seats - lowSum) / (sum - lowSum)
		}
		break
	}
	at(low)
	return shares, low
}
