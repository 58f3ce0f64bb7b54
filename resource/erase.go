package resource

import (
	"reflect"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var viewVerbs = []string{"get", "patch", "update"}

// eraseWrites fills the functions through which objects are written.
func eraseWrites[T Object](k *Kind, d *Definition[T]) {
	k.Default = func(obj Object) {
		if d.Default != nil {
			d.Default(obj.(T))
		}
	}
	k.PrepareCreate = func(r *Request, obj Object) {
		if d.PrepareCreate != nil {
			d.PrepareCreate(r, obj.(T))
		}
	}
	k.PrepareUpdate = func(r *Request, obj, old Object) {
		if d.PrepareUpdate != nil {
			d.PrepareUpdate(r, obj.(T), old.(T))
		}
	}
	k.Validate = func(r *Request, obj Object) field.ErrorList {
		if d.Validate == nil {
			return nil
		}
		return d.Validate(r, obj.(T))
	}
	k.ValidateUpdate = func(r *Request, obj, old Object) field.ErrorList {
		if d.ValidateUpdate == nil {
			return nil
		}
		return d.ValidateUpdate(r, obj.(T), old.(T))
	}
	k.Warn = func(r *Request, obj, old Object) []string {
		if d.Warn == nil {
			return nil
		}
		var before T
		if old != nil {
			before = old.(T)
		}
		return d.Warn(r, obj.(T), before)
	}
	if d.TTL != nil {
		k.TTL = func(obj Object) time.Duration { return d.TTL(obj.(T)) }
	}
	if d.Grace != nil {
		k.Grace = func(r *Request, obj Object, options *metav1.DeleteOptions) int64 {
			return d.Grace(r, obj.(T), options)
		}
	}
	if d.WarnDelete != nil {
		k.WarnDelete = func(r *Request, obj Object, options *metav1.DeleteOptions) []string {
			return d.WarnDelete(r, obj.(T), options)
		}
	}
	for _, view := range d.Views {
		k.Views = append(k.Views, eraseView(view))
	}
	if scale := d.Scale; scale != nil {
		k.Scale = &KindScale{
			Get: func(obj Object) (autoscalingv1.ScaleSpec, autoscalingv1.ScaleStatus) { return scale.Get(obj.(T)) },
			Set: func(obj Object, replicas int32) { scale.Set(obj.(T), replicas) },
			Check: func(obj Object) error {
				if scale.Check == nil {
					return nil
				}
				return scale.Check(obj.(T))
			},
		}
	}
}

func eraseView[T Object](view View[T]) KindView {
	erased := KindView{Name: view.Name, Verbs: view.Verbs}
	if erased.Verbs == nil {
		erased.Verbs = viewVerbs
	}
	erased.Prepare = func(r *Request, obj, old Object) { KeepAllButStatus(obj, old) }
	if view.Prepare != nil {
		erased.Prepare = func(r *Request, obj, old Object) { view.Prepare(r, obj.(T), old.(T)) }
	}
	erased.Validate = func(r *Request, obj, old Object) field.ErrorList {
		if view.Validate == nil {
			return nil
		}
		return view.Validate(r, obj.(T), old.(T))
	}
	return erased
}

// eraseReads fills the functions through which objects are shown and selected.
func eraseReads[T Object](k *Kind, d *Definition[T]) {
	columns := d.Columns
	if len(columns) == 0 {
		columns = []Column[T]{Name[T](), Age[T]()}
	}
	for _, column := range columns {
		k.Columns = append(k.Columns, metav1.TableColumnDefinition{
			Name: column.Name, Type: orElse(column.Type, "string"), Format: column.Format,
			Description: column.Description, Priority: column.Priority,
		})
	}
	k.Row = func(obj Object) []any {
		typed := obj.(T)
		cells := make([]any, len(columns))
		for i := range columns {
			cells[i] = columns[i].Value(typed)
		}
		return cells
	}
	if d.RowConditions != nil {
		k.RowConditions = func(obj Object) []metav1.TableRowCondition { return d.RowConditions(obj.(T)) }
	}
	for _, f := range d.Fields {
		value := f.Value
		k.Fields = append(k.Fields, KindField{Name: f.Name, Stored: f.Stored, Value: func(obj Object) string { return value(obj.(T)) }})
	}
}

// KeepAllButStatus makes obj equal to old except for its status, managed fields, resourceVersion, annotations and
// the fields of metadata that upstream's status updates may change: the rule of most status subresources.
// Labels, owners, finalizers and everything outside metadata and status come from old.
func KeepAllButStatus(obj, old Object) {
	to, from := reflect.ValueOf(obj).Elem(), reflect.ValueOf(old).Elem()
	if to.Kind() != reflect.Struct {
		return // unstructured objects bring a Prepare of their own
	}
	for i := range to.NumField() {
		switch to.Type().Field(i).Name {
		case "TypeMeta", "ObjectMeta", "Status":
		default:
			to.Field(i).Set(from.Field(i))
		}
	}
	obj.SetLabels(old.GetLabels())
	obj.SetOwnerReferences(old.GetOwnerReferences())
	obj.SetFinalizers(old.GetFinalizers())
	obj.SetGeneration(old.GetGeneration())
	obj.SetDeletionTimestamp(old.GetDeletionTimestamp())
	obj.SetDeletionGracePeriodSeconds(old.GetDeletionGracePeriodSeconds())
}
