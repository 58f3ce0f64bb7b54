package flowcontrol

import (
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"

	"github.com/septet-io/septet/resource"
)

// PriorityLevelConfigurations is all that the server knows about PriorityLevelConfigurations.
func PriorityLevelConfigurations() *resource.Kind {
	return resource.Define(resource.Definition[*flowcontrolv1.PriorityLevelConfiguration]{
		Group: "flowcontrol.apiserver.k8s.io", Version: "v1", Kind: "PriorityLevelConfiguration", Plural: "prioritylevelconfigurations",
		Scope:      resource.Cluster,
		Generation: true,
		Validate:   validateLevel, ValidateUpdate: validateLevelUpdate,
		Default: defaultPriorityLevel,
		Views:   []resource.View[*flowcontrolv1.PriorityLevelConfiguration]{{Name: "status"}},
		Columns: priorityLevelColumns(),
	})
}

func defaultPriorityLevel(level *flowcontrolv1.PriorityLevelConfiguration) {
	if limited := level.Spec.Limited; limited != nil {
		setIfNil(&limited.NominalConcurrencyShares, 30)
		setIfNil(&limited.LendablePercent, 0)
		if queuing := limited.LimitResponse.Queuing; queuing != nil {
			setIfZero(&queuing.HandSize, 8)
			setIfZero(&queuing.Queues, 64)
			setIfZero(&queuing.QueueLengthLimit, 50)
		}
	}
	if exempt := level.Spec.Exempt; exempt != nil {
		setIfNil(&exempt.NominalConcurrencyShares, 0)
		setIfNil(&exempt.LendablePercent, 0)
	}
}

func priorityLevelColumns() []resource.Column[*flowcontrolv1.PriorityLevelConfiguration] {
	doc := flowcontrolv1.QueuingConfiguration{}.SwaggerDoc()
	// number shows "<none>" where the level has no such thing, so its type stays that of text.
	number := func(name, description string, of func(*flowcontrolv1.PriorityLevelConfigurationSpec) any) resource.Column[*flowcontrolv1.PriorityLevelConfiguration] {
		return resource.Column[*flowcontrolv1.PriorityLevelConfiguration]{
			Name: name, Description: description,
			Value: func(level *flowcontrolv1.PriorityLevelConfiguration) any {
				if v := of(&level.Spec); v != nil {
					return v
				}
				return "<none>"
			},
		}
	}
	queuing := func(of func(*flowcontrolv1.QueuingConfiguration) int32) func(*flowcontrolv1.PriorityLevelConfigurationSpec) any {
		return func(s *flowcontrolv1.PriorityLevelConfigurationSpec) any {
			if s.Limited == nil || s.Limited.LimitResponse.Queuing == nil {
				return nil
			}
			return int64(of(s.Limited.LimitResponse.Queuing))
		}
	}
	return []resource.Column[*flowcontrolv1.PriorityLevelConfiguration]{
		resource.Name[*flowcontrolv1.PriorityLevelConfiguration](),
		resource.Text("Type", flowcontrolv1.PriorityLevelConfigurationSpec{}.SwaggerDoc()["type"],
			func(l *flowcontrolv1.PriorityLevelConfiguration) string { return string(l.Spec.Type) }),
		number("NominalConcurrencyShares", flowcontrolv1.LimitedPriorityLevelConfiguration{}.SwaggerDoc()["nominalConcurrencyShares"], shares),
		number("Queues", doc["queues"], queuing(func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.Queues })),
		number("HandSize", doc["handSize"], queuing(func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.HandSize })),
		number("QueueLengthLimit", doc["queueLengthLimit"], queuing(func(q *flowcontrolv1.QueuingConfiguration) int32 { return q.QueueLengthLimit })),
		resource.Age[*flowcontrolv1.PriorityLevelConfiguration](),
	}
}

func shares(spec *flowcontrolv1.PriorityLevelConfigurationSpec) any {
	if spec.Limited == nil || spec.Limited.NominalConcurrencyShares == nil {
		return nil
	}
	return int64(*spec.Limited.NominalConcurrencyShares)
}

func setIfNil[T any](field **T, value T) {
	if *field == nil {
		*field = &value
	}
}

func setIfZero(field *int32, value int32) {
	if *field == 0 {
		*field = value
	}
}
